import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import type { SealingKeys } from '../model/acme/sealing.ts';
import type { Entry } from '../registry/registry.ts';
import type { HostState, KnownCertificate } from './due.ts';
import { KnownCertificates } from './known-certificate.ts';
import type { LeaderEntries, Seen } from './leader-entries.ts';

/** An entry that the registry has lost, and that counts all the same. */
export type LostEntry = Pick<Entry, 'value' | 'revision' | 'held'>;

export type HostStatesParts = {
  readonly entries: Pick<LeaderEntries, 'get'>;
  readonly held: (key: string) => LostEntry | undefined;
  readonly sealingKeys: SealingKeys;
  /** Whether the fleet has caught up since this host's order waited for it. */
  readonly isReady: (host: string) => boolean;
};

/** What the leader knows about each host. Each version of an entry is read once. */
export class HostStates {
  readonly #parts: HostStatesParts;
  readonly #known = new KnownCertificates();
  readonly #records = new WeakMap<Seen, { readonly record: OrderRecord | undefined }>();

  constructor(parts: HostStatesParts) {
    this.#parts = parts;
  }

  of(host: string): HostState {
    const { entries, held, isReady } = this.#parts;
    // HAProxy serves a lost one on, so there is no new one before its time. `lostCertificates` gives it back to the registry.
    const seen = entries.get(certificateKey(host)) ?? held(certificateKey(host));
    const record = this.recordOf(host);
    return {
      certificate: seen && this.known(host, seen),
      record: record !== undefined && isReady(host) ? { ...record, nextTry: undefined } : record,
      asked: entries.get(renewalKey(host)) !== undefined,
    };
  }

  /** Undefined: the entry cannot be read. */
  known(host: string, seen: Pick<Seen, 'value'>): KnownCertificate | undefined {
    return this.#known.get(host, seen, this.#parts.sealingKeys);
  }

  recordOf(host: string): OrderRecord | undefined {
    const seen = this.#parts.entries.get(orderKey(host));
    if (seen === undefined) return undefined;
    const known = this.#records.get(seen);
    if (known !== undefined) return known.record;
    const parsed = parseOrderRecord(seen.value);
    const record = parsed.ok ? parsed.value : undefined;
    this.#records.set(seen, { record });
    return record;
  }
}
