import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, logSettings, quietLogOptions } from './log.ts';
import { defaulted, onOff } from './option.ts';
import { type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
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
export const localAdmin = defaulted({
  placeholder: 'HOST:PORT',
  description: "the admin port of this machine's balancer, if it has one; others say where theirs is",
  word: addressWord,
  fallback: '127.0.0.1:8404',
});

const options = {
  admin: localAdmin,
  json: onOff({ description: 'print JSON' }),
  ...registryOptions,
  ...quietLogOptions,
};

type Values = Parameters<typeof registrySettings>[0] &
  Parameters<typeof logSettings>[0] & { readonly admin: Address; readonly json: boolean };

function seeSettings(values: Values): SeeSettings | Fault {
  const registry = registrySettings(values);
  if (registry instanceof Fault) return registry;
  return { registry, log: logSettings(values), admin: values.admin, json: values.json };
}

/** `pointsman status`. */
export const statusCommand = declareCommand({
  name: 'status',
  summary: 'show the balancers, the services, and what is wrong',
  operands: { syntax: '[service]', description: 'one of them, with its instances' },
  options: { watch: onOff({ description: 'show it anew every second until Ctrl-C' }), ...options },
  assemble: (values): (SeeSettings & { readonly watch: boolean }) | Fault => {
    const settings = seeSettings(values);
    return settings instanceof Fault ? settings : { ...settings, watch: values.watch };
  },
});

/** `pointsman explain`. */
export const explainCommand = declareCommand({
  name: 'explain',
  summary: 'tell why an instance is or is not served, by every balancer; exit code 1 if it is not',
  operands: { syntax: '<service/instance>', description: 'the instance' },
  options,
  assemble: seeSettings,
});

/** `pointsman events`. */
export const eventsCommand = declareCommand({
  name: 'events',
  summary: 'tell what balancers did last, with the time that each stage took',
  options: {
    most: defaulted({
      placeholder: 'COUNT',
      description: 'how many of each balancer',
      word: countWord(1, 500),
      fallback: '30',
      flagOnly: true,
    }),
    follow: onOff({ description: 'go on with what happens, until Ctrl-C' }),
    ...options,
  },
  assemble: (values): (SeeSettings & { readonly most: number; readonly follow: boolean }) | Fault => {
    const settings = seeSettings(values);
    return settings instanceof Fault ? settings : { ...settings, most: values.most, follow: values.follow };
  },
});
