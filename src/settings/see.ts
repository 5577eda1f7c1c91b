import type { Address } from '../model/address.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, quietLogOptions } from './log.ts';
import { defaulted, onOff, type ValuesOf } from './option.ts';
import { type RegistrySettings, registryAndLog, registryOptions } from './registry.ts';
import { addressWord, countWord } from './words.ts';

/** Where to look, and how to show it. */
export type SeeSettings = {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  /** The admin port of a balancer on this machine, which need not be reachable from others. */
  readonly admin: Address;
  readonly json: boolean;
};

/** Where the balancer of this machine can be asked. */
export const localAdmin = defaulted(
  'HOST:PORT',
  addressWord,
  '127.0.0.1:8404',
  'admin port of the balancer on this machine; other balancers are found in the registry',
  { onlyOnce: true },
);

const options = { admin: localAdmin, json: onOff('print JSON'), ...registryOptions, ...quietLogOptions };

const seeSettings = (values: ValuesOf<typeof options>): SeeSettings => ({
  ...registryAndLog(values),
  admin: values.admin,
  json: values.json,
});

export const statusCommand = declareCommand({
  name: 'status',
  summary: 'show balancers, services, and what is wrong',
  operands: { syntax: '[service]', description: 'show only this service, with its instances' },
  options: { watch: onOff('show it anew every second until Ctrl-C'), ...options },
  assemble: (values) => ({ ...seeSettings(values), watch: values.watch }),
});

export const explainCommand = declareCommand({
  name: 'explain',
  summary: 'say why each balancer serves an instance, or why it does not',
  operands: { syntax: '<service/instance>', description: 'the instance; the exit code is 1 if it is not served' },
  options,
  assemble: seeSettings,
});

export const eventsCommand = declareCommand({
  name: 'events',
  summary: 'show what balancers did last, and how long each stage took',
  options: {
    most: defaulted('COUNT', countWord(1, 500), '30', 'number of events of each balancer', { flagOnly: true }),
    follow: onOff('keep printing new events, until Ctrl-C'),
    ...options,
  },
  assemble: (values) => ({ ...seeSettings(values), most: values.most, follow: values.follow }),
});
