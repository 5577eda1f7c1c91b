import { type Cidr, isLoopback, parseCidr } from '../model/address.ts';
import { defaulted, list, type ValuesOf } from './option.ts';
import type { RegistrySettings } from './registry.ts';
import { durationWord, word } from './words.ts';

/** Where instances may be, and how their host names are looked up. */
export type AddressSettings = {
  /** Empty: everywhere but in the special ranges. */
  readonly allowed: readonly Cidr[];
  /** Whether instances may be on the balancer's own machine without `allowed` saying so. */
  readonly loopback: boolean;
  readonly resolveIntervalMs: number;
};

export const addressOptions = {
  allowAddresses: list(
    'NETWORK',
    word(parseCidr),
    'networks of instances, such as 10.0.0.0/8 (default: all but link-local, metadata and, with a remote registry, loopback)',
  ),
  resolveInterval: defaulted(
    'DURATION',
    durationWord(1000, 3_600_000),
    '10s',
    'longest time between two lookups of the host name of an instance; a shorter TTL counts',
  ),
};

/** A registry on this machine is one for this machine, whose instances are on it. */
export function addressSettings(values: ValuesOf<typeof addressOptions>, registry: RegistrySettings): AddressSettings {
  const { allowAddresses: allowed, resolveInterval: resolveIntervalMs } = values;
  const here =
    registry.kind === 'directory' ||
    (registry.domain === undefined && registry.members.every((one) => isLoopback(one)));
  return { allowed, loopback: allowed.length === 0 && here, resolveIntervalMs };
}
