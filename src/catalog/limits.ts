import { createHash } from 'node:crypto';
import type { Refuse } from '../registry/registry.ts';

/** How much of a registry is served. What is beyond is refused entry by entry, as what is malformed is. */
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

/** Far above what one HAProxy serves well, and far below what harms us. */
export const defaultCatalogLimits: CatalogLimits = {
  valueBytes: 65_536,
  instances: 20_000,
  services: 20_000,
  entries: 200_000,
  totalBytes: 256 * 1024 * 1024,
};

/** For those who only look. */
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

/** An acknowledgement with all that it may tell is a third of this. */
const otherBytes = 262_144;

/** Refuses values for their size, so that a follower does not keep them. Values under `keys/` have no limit. */
export const refusing =
  (limits: CatalogLimits): Refuse =>
  (key, bytes) => {
    const [area] = key.split('/', 1);
    if (area === 'keys') return undefined;
    if (area === 'instances' || area === 'services' || area === 'overrides') return beyondValue(bytes, limits);
    return bytes > otherBytes ? `its value has ${bytes} bytes, more than ${otherBytes}` : undefined;
  };

/** Rejected entries that are remembered one by one. More are counted, when they come. */
export const mostRejected = 10_000;

/** Longer keys mean nothing to us, and are remembered by their beginning and a hash: two that begin alike are two. */
const longestKey = 1024;

/** The key by which a rejected entry is remembered. */
export const rejectedKey = (key: string): string =>
  key.length > longestKey
    ? `${key.slice(0, longestKey)}...${createHash('sha256').update(key).digest('hex').slice(0, 12)}`
    : key;

/** What a catalog holds, and what an entry would add to it. */
export type Growth = {
  readonly entries: number;
  readonly services: number;
  readonly totalBytes: number;
  /** The entry's own service, if the entry is a new instance of it. */
  readonly joins: { readonly service: string; readonly instances: number } | undefined;
};

/** Why there is no room, and where there has to be some: in one service, or at all. */
export type NoRoom = { readonly reason: string; readonly service: string | undefined };

/** Why a catalog may not grow like this; undefined when it may. */
export function beyondLimits(grown: Growth, limits: CatalogLimits): NoRoom | undefined {
  const atAll = (reason: string): NoRoom => ({ reason, service: undefined });
  if (grown.entries > limits.entries) return atAll(`there are ${limits.entries} entries already (--limit-entries)`);
  if (grown.totalBytes > limits.totalBytes) {
    return atAll(`all values together would have more than ${limits.totalBytes} bytes (--limit-total)`);
  }
  if (grown.services > limits.services) {
    return atAll(`there are ${limits.services} services already (--limit-services)`);
  }
  if (grown.joins !== undefined && grown.joins.instances > limits.instances) {
    const { service } = grown.joins;
    return { reason: `${service} has ${limits.instances} instances already (--limit-instances)`, service };
  }
  return undefined;
}
