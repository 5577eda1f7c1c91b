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
  description: 'an instance; or a service, for all of its instances without an override of their own',
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

export const drainCommand = declareNew('drain', 'send no new requests to an instance or a service');

export const maintenanceCommand = declareNew(
  'maintenance',
  'take an instance or a service out: no requests, no checks',
);

export const weightCommand = declareNew('weight', 'set the weight of an instance, or of all of a service', {
  syntax: '<weight>',
  description: '0 to 256, relative to the other instances; the default weight is 100',
});

const service = { syntax: '<service>', description: 'the service' };

export const pauseCommand = declareCommand({
  name: 'pause',
  summary: "let requests wait while you replace a service's instances",
  operands: service,
  options: {
    ...optionsOfNew,
    for: defaulted('DURATION', durationWord(1000, longestPauseMs), '30s', 'longest time, from 1s to 10m', {
      flagOnly: true,
    }),
  },
  assemble: overrideSettings,
});

export const resumeCommand = declareOther('resume', 'end a pause: the waiting requests go on', service);

export const undrainCommand = declareOther('undrain', 'end a drain', target);

export const clearCommand = declareOther('clear', 'end a drain, a maintenance or a weight', target);

export const overridesCommand = declareOther('overrides', 'list overrides: drains, maintenance, weights and pauses', {
  syntax: '[service]',
  description: 'list only the overrides of this service',
});
