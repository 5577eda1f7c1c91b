import { parseSize } from '../model/quantity.ts';
import { defaulted, type ValuesOf } from './option.ts';
import { countWord, word } from './words.ts';

/** How much of a registry a balancer serves. */
export const limitOptions = {
  limitValue: defaulted('SIZE', word(parseSize), '64k', 'size of one value; larger values are rejected'),
  limitInstances: defaulted(
    'COUNT',
    countWord(1, 1_000_000),
    '20000',
    'number of instances of one service; further ones are rejected',
  ),
  limitServices: defaulted('COUNT', countWord(1, 1_000_000), '20000', 'number of services; further ones are rejected'),
  limitEntries: defaulted(
    'COUNT',
    countWord(1, 10_000_000),
    '200000',
    'number of entries of all services; beyond it, each service gets its fair share',
  ),
  limitOldWorkers: defaulted(
    'COUNT',
    countWord(1, 1_000_000),
    '20',
    'number of old workers; beyond it, the oldest is ended with its connections',
  ),
  limitTotal: defaulted(
    'SIZE',
    word(parseSize),
    '256m',
    'size of the entries of all services; beyond it, each service gets its fair share',
  ),
};

export function limitSettings(values: ValuesOf<typeof limitOptions>) {
  return {
    valueBytes: values.limitValue,
    instances: values.limitInstances,
    services: values.limitServices,
    entries: values.limitEntries,
    totalBytes: values.limitTotal,
  };
}

export type LimitSettings = ReturnType<typeof limitSettings>;
