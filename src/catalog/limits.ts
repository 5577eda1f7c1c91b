import { createHash } from 'node:crypto';
import { areaOfKey } from '../model/key.ts';
import type { Reject } from '../registry/registry.ts';
import type { Room } from './allocation.ts';
import type { Caps } from './ranking.ts';

/** The largest registry that is served. Entries beyond a limit are rejected one by one, as malformed ones are. */
export type CatalogLimits = {
  /** Of one value, in bytes. */
  readonly valueBytes: number;
  /** Instances of one service. */
  readonly instances: number;
  readonly services: number;
  /** Entries of any kind, and the bytes of all their values together. */
  readonly entries: number;
  readonly totalBytes: number;
};

/** Far above the load that one HAProxy serves well, and far below a load that harms pointsman. */
export const defaultCatalogLimits: CatalogLimits = {
  valueBytes: 65_536,
  instances: 20_000,
  services: 20_000,
  entries: 200_000,
  totalBytes: 256 * 1024 * 1024,
};

/** For commands that only read. */
export const noLimits: CatalogLimits = {
  valueBytes: Number.POSITIVE_INFINITY,
  instances: Number.POSITIVE_INFINITY,
  services: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
  totalBytes: Number.POSITIVE_INFINITY,
};

/** Why a value of so many bytes is not taken; undefined when it is. */
export const beyondValue = (bytes: number, { valueBytes }: CatalogLimits): string | undefined =>
  bytes > valueBytes ? `its value has ${bytes} bytes, more than ${valueBytes} (--limit-value)` : undefined;

/** The largest acknowledgement is a third of this. */
const otherBytes = 262_144;

const limitedAreas = ['instances', 'services', 'overrides', 'claims'];

/** Refuses values for their size, so that a follower does not keep them. Values under `keys/` have no limit. */
export const rejecting =
  (limits: CatalogLimits): Reject =>
  (key, bytes) => {
    const area = areaOfKey(key);
    if (area === 'keys') return undefined;
    if (limitedAreas.includes(area)) return beyondValue(bytes, limits);
    return bytes > otherBytes ? `its value has ${bytes} bytes, more than ${otherBytes}` : undefined;
  };

/** Longer keys have no meaning. They are remembered by their beginning and a hash, so two of them stay different. */
const longestKey = 1024;

/** The key by which a rejected entry is remembered. */
export const rejectedKey = (key: string): string =>
  key.length > longestKey
    ? `${key.slice(0, longestKey)}...${createHash('sha256').update(key).digest('hex').slice(0, 12)}`
    : key;

/** The part of `--limit-total` and of `--limit-entries` that overrides have for themselves, next to what instances and policies have. */
const overridePart = 8;

/** Room that only overrides take: an operator can always drain and hold an instance. */
export const overrideRoom = ({ totalBytes, entries }: CatalogLimits): Room => ({
  bytes: Math.max(Math.floor(totalBytes / overridePart), 65_536),
  entries: Math.max(Math.floor(entries / overridePart), 100),
  instances: Number.POSITIVE_INFINITY,
});

export const beyondServices = ({ services }: CatalogLimits): string =>
  `there are ${services} services already, the most that --limit-services allows`;

/** Why a service does not get all the instances that it has. */
export function beyondShare(service: string, beyond: keyof Caps, limits: CatalogLimits): string {
  switch (beyond) {
    case 'instances':
      return `${service} has ${limits.instances} instances already, the most that --limit-instances allows`;
    case 'entries':
      return `${service} exceeds its share: all services have more than ${limits.entries} entries (--limit-entries)`;
    case 'bytes':
      return `${service} exceeds its share: the values of all services have more than ${limits.totalBytes} bytes (--limit-total)`;
  }
}

export function beyondOverrides(service: string, beyond: keyof Caps, limits: CatalogLimits): string {
  const { bytes, entries } = overrideRoom(limits);
  return beyond === 'bytes'
    ? `${service} exceeds its share: all overrides and claims have more than ${bytes} bytes (--limit-total)`
    : `${service} exceeds its share: there are more than ${entries} overrides and claims (--limit-entries)`;
}
