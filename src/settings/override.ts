import { longestPauseMs } from '../model/override.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, quietLogOptions } from './log.ts';
import { defaulted, onOff, optional, type ValuesOf } from './option.ts';
import { type RegistrySettings, registryAndLog, registryOptions } from './registry.ts';
import { localAdmin } from './see.ts';
import { durationWord, word } from './words.ts';

/** The settings of an override beside its kind. */
export type OverrideSettings = {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  /** Undefined: until an operator clears it. */
  readonly forMs: number | undefined;
  readonly why: string | undefined;
  /** Also for a service or an instance that is not known. */
  readonly force: boolean;
  readonly json: boolean;
  /** Undefined: no longer than it takes to apply it. */
  readonly waitMs: number | undefined;
};

const thirtyDaysMs = 30 * 86_400_000;

function parseWhy(text: string): Parsed<string> {
  if (text === '' || text.length > 256) return rejected('it is not 1 to 256 characters');
  return /[\p{C}\p{Zl}\p{Zp}]/u.test(text) ? rejected('it has a control character') : accepted(text);
}

const target = {
  syntax: '<service[/instance]>',
  description: 'an instance, or a service: then all of its instances that have no override of their own',
};
const json = onOff('print one JSON object');
const optionsOfAll = { json, ...registryOptions, ...quietLogOptions };
const optionsOfNew = {
  for: optional(
    'DURATION',
    durationWord(1000, thirtyDaysMs),
    'how long, from 1s to 30d (default: until you clear it)',
    { flagOnly: true },
  ),
  why: optional('TEXT', word(parseWhy), 'reason, shown to others', { flagOnly: true }),
  wait: optional(
    'DURATION',
    durationWord(0, 86_400_000),
    'how long to wait until every balancer has applied it and, after a drain or maintenance, no request is open',
    { flagOnly: true },
  ),
  force: onOff('allow a service or an instance that does not exist yet'),
  ...optionsOfAll,
};

type NewOverride = Omit<ValuesOf<typeof optionsOfNew>, 'for'> & { readonly for: number | undefined };

function overrideSettings(values: NewOverride): OverrideSettings {
  const { for: forMs, wait: waitMs, why, force, json: asJson } = values;
  return { ...registryAndLog(values), forMs, waitMs, why, force, json: asJson };
}

const declareNew = <const Name extends string>(
  name: Name,
  summary: string,
  more?: { readonly syntax: string; readonly description: string },
) =>
  declareCommand({
    name,
    summary,
    operands: more === undefined ? target : { ...target, more: [more] },
    options: optionsOfNew,
    assemble: overrideSettings,
  });

const declareOther = <const Name extends string>(
  name: Name,
  summary: string,
  operands: { syntax: string; description: string },
) =>
  declareCommand({
    name,
    summary,
    operands,
    options: { admin: localAdmin, ...optionsOfAll },
    assemble: (values) => ({ ...registryAndLog(values), json: values.json, admin: values.admin }),
  });

export const drainCommand = declareNew('drain', 'send no new requests to an instance or a service; open ones go on');

export const maintenanceCommand = declareNew(
  'maintenance',
  'take an instance or a service out: no requests, no health checks',
);

export const weightCommand = declareNew('weight', 'give an instance or all of a service another share of the traffic', {
  syntax: '<weight>',
  description: '0 to 256, relative to its siblings; instances have 100 unless they register another',
});

const service = { syntax: '<service>', description: 'the whole of it' };

export const pauseCommand = declareCommand({
  name: 'pause',
  summary: 'let the requests of a service wait while everything behind it is swapped',
  operands: service,
  options: {
    ...optionsOfNew,
    for: defaulted('DURATION', durationWord(1000, longestPauseMs), '30s', 'longest time, from 1s to 10m', {
      flagOnly: true,
    }),
  },
  assemble: overrideSettings,
});

export const resumeCommand = declareOther('resume', 'end a pause: the requests that wait go on', service);

export const undrainCommand = declareOther('undrain', 'end a drain', target);

export const clearCommand = declareOther('clear', 'end a drain, a maintenance or a weight, whichever it is', target);

export const overridesCommand = declareOther('overrides', 'list what operators drained, took out or weighed', {
  syntax: '[service]',
  description: 'of this service only',
});
