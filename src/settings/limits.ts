import { parseSize } from '../model/quantity.ts';
import { defaulted, type ValuesOf } from './option.ts';
import { countWord, word } from './words.ts';

/** How much of a registry a balancer serves. */
export const limitOptions = {
  limitValue: defaulted('SIZE', word(parseSize), '64k', 'a larger value in the registry is refused'),
  limitInstances: defaulted('COUNT', countWord(1, 1_000_000), '20000', 'more instances of one service are refused'),
  limitServices: defaulted('COUNT', countWord(1, 1_000_000), '20000', 'more services are refused'),
  limitEntries: defaulted(
    'COUNT',
    countWord(1, 10_000_000),
    '200000',
    'entries are refused to services beyond their fair share of this number',
  ),
  limitOldWorkers: defaulted(
    'COUNT',
    countWord(1, 1_000_000),
    '20',
    'more workers of earlier reloads are ended with their connections, the oldest first',
  ),
  limitTotal: defaulted(
    'SIZE',
    word(parseSize),
    '256m',
    'entries are refused to services beyond their fair share of this size',
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
