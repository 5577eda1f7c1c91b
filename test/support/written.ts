import type { Catalog, Folded } from '../../src/catalog/catalog.ts';
import { foldEvent } from '../../src/catalog/fold-event.ts';
import type { CatalogLimits } from '../../src/catalog/limits.ts';
import { revision } from '../../src/model/revision.ts';
import type { Change, Entry } from '../../src/registry/registry.ts';

export type Put = { readonly key: string; readonly value: string; readonly bytes: number };
/** A put, or the deletion of a key. */
export type WriteStep = Put | { readonly key: string; readonly value: undefined };

export const fixed = 64 + '10.0.0.1'.length;
export const none: readonly never[] = [];

/** An instance that counts for so many bytes more than the smallest. */
export function instance(service: string, id: string, more: number, state = 'ready', unknown = ''): Put {
  const meta = more === 0 ? {} : { meta: { m: 'x'.repeat(more - 1) } };
  const value = JSON.stringify({ address: '10.0.0.1:80', state, ...meta, unknown });
  return { key: `instances/${service}/${id}`, value, bytes: fixed + more };
}

export const policy = (service: string, more: number): Put => {
  const value = '{}'.padEnd(2 + more);
  return { key: `services/${service}`, value, bytes: value.length };
};

export const override = (service: string, scope: string, why: number): Put => {
  const value = JSON.stringify({ kind: 'drain', why: 'y'.repeat(why) });
  return { key: `overrides/${service}/${scope}`, value, bytes: 64 + why };
};

/** A registry that is written to and that balancers follow. */
export class Writing {
  #at = 0n;
  readonly entries = new Map<string, Entry>();
  readonly asked = new Map<string, Put>();

  write(step: WriteStep): Change | undefined {
    const now = revision(this.#at + 1n);
    const before = this.entries.get(step.key);
    if (step.value === undefined && before === undefined) return undefined;
    this.#at += 1n;
    if (step.value === undefined) {
      this.entries.delete(step.key);
      this.asked.delete(step.key);
      return { kind: 'delete', key: step.key, revision: now };
    }
    const created = before && (before.created ?? before.revision);
    const entry = { key: step.key, value: step.value, revision: now, leased: true, ...(created && { created }) };
    this.entries.set(step.key, entry);
    this.asked.set(step.key, step);
    return { kind: 'put', entry };
  }

  get at() {
    return revision(this.#at);
  }

  /** The entries that a service wrote in these areas. */
  of(service: string, areas: readonly string[]): readonly Put[] {
    return [...this.asked.values()].filter(({ key }) =>
      areas.some((area) => `${key}/`.startsWith(`${area}/${service}/`)),
    );
  }
}

export const change = (
  catalog: Catalog,
  limits: CatalogLimits,
  at: Catalog['revision'],
  changes: readonly Change[],
): Folded => foldEvent(catalog, { kind: 'changes', revision: at, changes }, limits);

export function snapshot(
  catalog: Catalog,
  limits: CatalogLimits,
  { at, entries }: Pick<Writing, 'at' | 'entries'>,
): Folded {
  const event = { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: '', entries } as const;
  return foldEvent(catalog, event, limits);
}
