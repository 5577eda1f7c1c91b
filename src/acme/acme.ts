import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { accountKey } from '../model/acme/keys.ts';
import type { SealingKeys } from '../model/acme/sealing.ts';
import { describe } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import type { Registry } from '../registry/registry.ts';
import type { AcmeSettings } from '../settings/acme.ts';
import { deferred } from '../waiting/deferred.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';
import { LeaderAccount } from './account.ts';
import { AccountWatch } from './account-watch.ts';
import type { AcmeMetrics } from './acme-metrics.ts';
import { Advising } from './advising.ts';
import type { LostEntry } from './host-states.ts';
import { keyMismatchOf } from './key-mismatch.ts';
import { Leader } from './leader.ts';
import { LeaderEntries } from './leader-entries.ts';
import { GaveUp, Leadership, type Term } from './leadership.ts';
import { Ordering } from './ordering.ts';
import { DnsProofs, HttpProofs, type Proofs } from './proofs.ts';
import { type AccountWish, Authority } from './protocol/authority.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { recordSetter } from './set-record.ts';

export type AcmeParts = {
  readonly settings: AcmeSettings;
  /** This balancer's name in the fleet. */
  readonly id: string;
  readonly registry: Registry;
  /** The hosts that certificates are ordered for, each with its service; undefined: they are not known yet. */
  readonly hosts: () => ReadonlyMap<string, ServiceName> | undefined;
  /** An entry that the registry has lost, and that counts all the same. */
  readonly held: (key: string) => LostEntry | undefined;
  /** The keys that private keys are sealed with; undefined: their file cannot be read. */
  readonly sealingKeys: () => SealingKeys | undefined;
  /** The environment of the command that sets DNS records. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called when another reason keeps this balancer from ordering, or none does any more. */
  readonly onProblem: (reason: string | undefined) => void;
  readonly metrics: AcmeMetrics;
  readonly logger: Logger;
  readonly now: () => number;
  readonly wall: () => Date;
  readonly random: () => number;
};

/** How long the registry may take to tell what this balancer's keys must open, in ms. */
const readMs = 5000;

/** Orders and renews the fleet's certificates while this balancer leads, and stands by otherwise. */
export class Acme {
  readonly #parts: AcmeParts;
  readonly #leadership: Leadership;
  readonly #account: AccountWatch;
  #leader: Leader | undefined;
  /** Ends a leader that works with former sealing keys. */
  #renew: () => void = () => undefined;

  constructor(parts: AcmeParts) {
    this.#parts = parts;
    const { registry, id, logger, random, settings, sealingKeys, onProblem } = parts;
    this.#account = new AccountWatch({ registry, directory: settings.directory, sealingKeys, onProblem });
    this.#leadership = new Leadership({
      registry,
      id,
      logger,
      random,
      prepare: () => this.#prepare(),
      lead: (term) => this.#lead(term),
    });
  }

  begin(): void {
    this.#leadership.begin();
  }

  /** To be called when the hosts or the sealing keys may have changed. */
  look(): void {
    this.#account.look();
    this.#renew();
    this.#leader?.look();
  }

  async close(): Promise<void> {
    await Promise.all([this.#leadership.close(), this.#account.close()]);
  }

  /** What an order needs of this balancer. Rejects with an Error: then another balancer is to lead. */
  async #prepare(): Promise<{ readonly keys: SealingKeys; readonly ca: string | undefined }> {
    const keys = this.#parts.sealingKeys();
    if (keys === undefined) throw new Error('the file of --sealing-keys cannot be read');
    const { registry, settings } = this.#parts;
    const read = await Promise.all(
      [accountKey, 'certificates/'].map((prefix) => registry.read(prefix, timeLimit(readMs))),
    );
    const { ca, directory } = settings;
    const mismatch = keyMismatchOf(
      read.flatMap(({ entries }) => entries),
      directory,
      keys,
    );
    if (mismatch !== undefined) throw new GaveUp(mismatch);
    return { keys, ca: ca === undefined ? undefined : await readFile(ca, 'utf8') };
  }

  async #lead(term: Term): Promise<void> {
    const { metrics } = this.#parts;
    metrics.leader.set(1);
    try {
      while (!term.signal.aborted) await this.#leadOnce(term);
    } finally {
      metrics.leader.set(0);
    }
  }

  /** Leads until the term ends, or the sealing keys change. */
  async #leadOnce(term: Term): Promise<void> {
    const { settings, id, registry, sealingKeys, logger, metrics, now, wall, random, hosts, held, env } = this.#parts;
    const { directory, keyType, dns } = settings;
    const { keys, ca } = await this.#prepare();
    const stopped = new AbortController();
    const signal = AbortSignal.any([term.signal, stopped.signal]);
    // Each order and each request listens.
    setMaxListeners(100, term.signal, signal);
    const changed = deferred();
    let gaveUp: string | undefined;
    this.#renew = () => {
      if (sealingKeys() !== keys) changed.resolve();
    };
    const authority = new Authority({ directory, ca, signal, wall });
    const entries = new LeaderEntries(registry, term, () => leader.look());
    const proofs: Proofs =
      dns === undefined ? new HttpProofs(registry, entries) : new DnsProofs(recordSetter(dns, env));
    const account = new LeaderAccount({
      ...{ authority, directory, id, entries, sealingKeys: keys },
      wish: () => accountWish(settings),
    });
    const common = { authority, directory, entries, logger, signal, random };
    const leader: Leader = new Leader({
      ...{ directory, entries, sealingKeys: keys, hosts, held, metrics, logger, signal, now, wall, random },
      giveUp: (reason) => {
        gaveUp = reason;
        changed.resolve();
      },
      ordering: new Ordering({ ...common, account, proofs, sealingKeys: keys, keyType, wall }),
      advising: new Advising({ ...common, now }),
    });
    this.#leader = leader;
    this.#renew();
    leader.look();
    await Promise.race([aborted(signal), changed.promise]);
    stopped.abort();
    this.#leader = undefined;
    this.#renew = () => undefined;
    await leader.close();
    authority.close();
    await Promise.all([entries.close(), proofs.close()]);
    if (gaveUp !== undefined) throw new GaveUp(gaveUp);
  }
}

/** The key of the external binding is read when an account is made: it may be written later than pointsman starts. */
async function accountWish({ email, eab }: AcmeSettings): Promise<AccountWish> {
  if (eab === undefined) return { email, eab };
  try {
    const text = (await readFile(eab.keyFile, 'utf8')).trim();
    return { email, eab: { kid: eab.kid, mac: Buffer.from(text, 'base64url') } };
  } catch (error) {
    throw new AuthorityError(`the key of --acme-eab-key cannot be read: ${describe(error)}`, { kind: 'unavailable' });
  }
}
