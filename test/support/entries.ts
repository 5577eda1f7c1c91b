import { revision } from '../../src/model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../../src/registry/registry.ts';

/** An entry of the registry. */
export const entry = (key: string, value: string, more: Partial<Entry> = {}): Entry => ({
  ...{ key, value, revision: revision(1n), leased: false },
  ...more,
});

/** An event that puts keys (a value) and deletes keys (undefined). */
export function changesOf(
  keys: Readonly<Record<string, string | undefined>>,
  more: Partial<Entry> = {},
): Extract<RegistryEvent, { kind: 'changes' }> {
  const at = more.revision ?? revision(1n);
  const changes = Object.entries(keys).map(
    ([key, value]): Change =>
      value === undefined ? { kind: 'delete', key, revision: at } : { kind: 'put', entry: entry(key, value, more) },
  );
  return { kind: 'changes', revision: at, changes };
}
