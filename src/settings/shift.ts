import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { accepted, type Parsed, quote, refused } from '../model/parsed.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logSettings, quietLogOptions } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { addressWord, durationWord, labelWord, word } from './words.ts';

/** How traffic goes to another version, step by step. */
export type ShiftSettings = {
  readonly to: string;
  /** In percent, rising. */
  readonly weights: readonly number[];
  readonly everyMs: number;
  /** 0 to 1; undefined: it goes on whatever happens. */
  readonly abortIfErrors: number | undefined;
  readonly admin: Address;
  readonly json: boolean;
};

function parsePercent(text: string): Parsed<number> {
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(text)?.[1];
  return percent !== undefined && Number(percent) > 0 && Number(percent) <= 100
    ? accepted(Number(percent))
    : refused(`${quote(text)} is not a share: above 0% and up to 100%`);
}

function parseSteps(text: string): Parsed<readonly number[]> {
  const steps: number[] = [];
  for (const part of text.split(',')) {
    const percent = parsePercent(part);
    if (!percent.ok) return percent;
    if (percent.value <= (steps.at(-1) ?? 0)) return refused(`${quote(text)} does not rise`);
    steps.push(percent.value);
  }
  return steps.length > 50 ? refused('it has more than 50 steps') : accepted(steps);
}

/** `pointsman shift`. */
export const shiftCommand = declareCommand({
  name: 'shift',
  summary: "give another version its share of a service's requests, step by step, and go back when it fails",
  operands: { syntax: '<service>', description: 'the service' },
  options: {
    to: optional({
      placeholder: 'VERSION',
      description: 'the version that is to get more (required)',
      word: labelWord,
      flagOnly: true,
    }),
    weight: defaulted({
      placeholder: 'PERCENT[,PERCENT…]',
      description: 'its share at each step',
      word: word(parseSteps),
      fallback: '5%,25%,100%',
      flagOnly: true,
    }),
    every: defaulted({
      placeholder: 'DURATION',
      description: 'how long each step but the last is watched',
      word: durationWord(1000, 86_400_000),
      fallback: '30s',
      flagOnly: true,
    }),
    abortIfErrors: optional({
      placeholder: 'PERCENT',
      description:
        'go back to the split before when more than this share of its requests fail (5xx, refused or broken connections)',
      word: word(parsePercent),
      flagOnly: true,
    }),
    admin: defaulted({
      placeholder: 'HOST:PORT',
      description: "the admin port of this machine's balancer, if it has one; others say where theirs is",
      word: addressWord,
      fallback: '127.0.0.1:8404',
    }),
    json: onOff({ description: 'print the steps as JSON lines' }),
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values): { registry: RegistrySettings; log: LogSettings; shift: ShiftSettings } | Fault => {
    const registry = registrySettings(values);
    if (registry instanceof Fault) return registry;
    const { to, weight: weights, every: everyMs, abortIfErrors, admin, json } = values;
    if (to === undefined) {
      return new Fault('settings', 'it is missing', { where: '--to', hint: 'name the version: --to v2' });
    }
    const share = abortIfErrors === undefined ? undefined : abortIfErrors / 100;
    return { registry, log: logSettings(values), shift: { to, weights, everyMs, abortIfErrors: share, admin, json } };
  },
});

/** `pointsman pin`. */
export const pinCommand = declareCommand({
  name: 'pin',
  summary:
    'keep the requests of a service with the versions that are registered, so that another one gets none before a shift',
  operands: { syntax: '<service>', description: 'the service' },
  options: { json: onOff({ description: 'print JSON' }), ...registryOptions, ...quietLogOptions },
  assemble: (values): { registry: RegistrySettings; log: LogSettings; json: boolean } | Fault => {
    const registry = registrySettings(values);
    return registry instanceof Fault ? registry : { registry, log: logSettings(values), json: values.json };
  },
});
