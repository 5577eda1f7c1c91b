import { Map as PersistentMap } from 'immutable';
import type { Entry } from '../registry/registry.ts';

/** What an entry waits for: room in its service, or room at all. */
export type Scope = { readonly service: string | undefined };

/** Entries that a limit refused, until there is room: by the service whose limit it is, or by `*`, and by their keys. */
export type Waiting = {
  readonly entries: PersistentMap<string, PersistentMap<string, Entry>>;
  /** Of all their values together. */
  readonly bytes: number;
};

export const nobodyWaits: Waiting = { entries: PersistentMap(), bytes: 0 };

// More are refused for good, until they are written again: whoever exceeds a limit does not get the memory another way.
const mostBytes = 16 * 1024 * 1024;
const mostEntries = 10_000;
const everybody = '*';

const groupOf = ({ service }: Scope): string => service ?? everybody;
const bytesOf = ({ key, value }: Entry): number => Buffer.byteLength(key) + Buffer.byteLength(value);

export function waitFor(waiting: Waiting, scope: Scope, entry: Entry): Waiting {
  const others = withoutWaiting(waiting, scope.service, entry.key);
  const bytes = others.bytes + bytesOf(entry);
  const name = groupOf(scope);
  const group = others.entries.get(name) ?? PersistentMap<string, Entry>();
  if (bytes > mostBytes || group.size >= mostEntries) return others;
  return { entries: others.entries.set(name, group.set(entry.key, entry)), bytes };
}

/** Without this key, of this service or of none. */
export function withoutWaiting(waiting: Waiting, service: string | undefined, key: string): Waiting {
  let { entries, bytes } = waiting;
  for (const name of service === undefined ? [everybody] : [everybody, service]) {
    const group = entries.get(name);
    const entry = group?.get(key);
    if (group === undefined || entry === undefined) continue;
    bytes -= bytesOf(entry);
    entries = group.size === 1 ? entries.delete(name) : entries.set(name, group.delete(key));
  }
  return bytes === waiting.bytes ? waiting : { entries, bytes };
}

/** Those that wait for room in this service, or for room at all. */
export const waitingFor = ({ entries }: Waiting, scope: Scope): Iterable<Entry> =>
  entries.get(groupOf(scope))?.values() ?? [];
