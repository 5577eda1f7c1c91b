import { parseSize } from '../model/size.ts';
import { defaulted, type ValuesOf } from './option.ts';
import { countWord, word } from './words.ts';

/** How much of a registry a balancer serves. */
export const limitOptions = {
  limitValue: defaulted({
    placeholder: 'SIZE',
    description: 'a larger value in the registry is refused',
    word: word(parseSize),
    fallback: '64k',
  }),
  limitInstances: defaulted({
    placeholder: 'COUNT',
    description: 'more instances of one service are refused',
    word: countWord(1, 1_000_000),
    fallback: '20000',
  }),
  limitServices: defaulted({
    placeholder: 'COUNT',
    description: 'more services are refused',
    word: countWord(1, 1_000_000),
    fallback: '20000',
  }),
  limitEntries: defaulted({
    placeholder: 'COUNT',
    description: 'entries are refused to services beyond their fair share of this number',
    word: countWord(1, 10_000_000),
    fallback: '200000',
  }),
  limitOldWorkers: defaulted({
    placeholder: 'COUNT',
    description: 'more workers of earlier reloads are ended with their connections, the oldest first',
    word: countWord(1, 1_000_000),
    fallback: '20',
  }),
  limitTotal: defaulted({
    placeholder: 'SIZE',
    description: 'entries are refused to services beyond their fair share of this size',
    word: word(parseSize),
    fallback: '256m',
  }),
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
