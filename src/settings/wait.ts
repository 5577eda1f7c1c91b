import { Fault } from '../model/fault.ts';
import { accepted, quote, refused } from '../model/parsed.ts';
import { type Revision, revision } from '../model/revision.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { durationWord, word } from './words.ts';

/** The goal of `pointsman wait`. */
export type WaitSettings = {
  readonly goal: 'serves' | 'gone';
  readonly revision: Revision | undefined;
  readonly timeoutMs: number;
  /** For a program instead of a person. */
  readonly json: boolean;
};

/** `pointsman wait`. */
export const waitCommand = declareCommand({
  name: 'wait',
  summary: 'wait until every live balancer serves a service or an instance, or none does any more',
  operands: { syntax: '<service[/instance]>', description: 'what is to be served' },
  options: {
    gone: onOff({ description: 'wait until no balancer sends it requests any more' }),
    timeout: defaulted({
      placeholder: 'DURATION',
      description: 'how long to wait before it ends with 1 and says who is missing',
      word: durationWord(0, 86_400_000),
      fallback: '30s',
      flagOnly: true,
    }),
    revision: optional({
      placeholder: 'NUMBER',
      description: 'wait for this revision of the registry at least (default: what it has now)',
      word: word((text) =>
        /^[0-9]{1,18}$/.test(text) ? accepted(revision(text)) : refused(`${quote(text)} is not a revision`),
      ),
      flagOnly: true,
    }),
    json: onOff({ description: 'print the outcome as one JSON object' }),
    ...registryOptions,
    ...logOptions,
  },
  assemble: (values): { registry: RegistrySettings; log: LogSettings; wait: WaitSettings } | Fault => {
    const registry = registrySettings(values);
    if (registry instanceof Fault) return registry;
    const { gone, revision: least, timeout: timeoutMs, json } = values;
    return {
      registry,
      log: logSettings(values),
      wait: { goal: gone ? 'gone' : 'serves', revision: least, timeoutMs, json },
    };
  },
});
