import type { Brand } from './parsed.ts';

/** A point in the registry's one total order of changes: etcd's 64-bit revision. The change id everywhere. */
export type Revision = Brand<bigint, 'Revision'>;

export const revision = (value: bigint | string): Revision => BigInt(value) as Revision;
export const noRevision: Revision = revision(0n);
