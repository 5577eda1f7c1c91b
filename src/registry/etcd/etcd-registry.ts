import { setTimeout as pause } from 'node:timers/promises';
import { type Revision, revision } from '../../model/revision.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import {
  type Follower,
  type KeyRange,
  type Listing,
  type ReadFilter,
  type Registry,
  type RegistryEvent,
  type Session,
  type SessionOptions,
  type Transaction,
  type TransactionResult,
  wholeTree,
} from '../registry.ts';
import { deniedIn, describeRange, namingDenied } from './denied.ts';
import { EtcdFollower } from './follow.ts';
import { type Decoding, keySpace } from './key-space.ts';
import { grantLease, newLeaseId } from './lease.ts';
import type { EtcdAccess, MemberClient } from './member-client.ts';
import { MemberSource, membersByRecord, membersOf } from './member-source.ts';
import { Members } from './members.ts';
import { EtcdSession, type EtcdSessionParts } from './session.ts';
import { transact } from './transaction.ts';
import { list, withPrefix } from './tree.ts';

export type EtcdRegistryOptions = EtcdAccess & {
  /** `host:port` each; a name with several addresses counts as several members. */
  readonly endpoints: readonly string[];
  /** The domain whose SRV records name the members, instead of `endpoints`. */
  readonly domain?: string | undefined;
  /** The prefix of all keys, with a slash at its end. */
  readonly root: string;
  readonly random?: () => number;
  /** Selects the values that are not read. */
  readonly reading?: ReadFilter | undefined;
  readonly decoding?: Decoding | undefined;
};

/** How long a read or a write tries the members when the caller sets no limit, in ms. */
const defaultMs = 10_000;

/** The registry in an etcd cluster, 3.4 or later. It connects when it is used. */
export function openEtcdRegistry(options: EtcdRegistryOptions): Registry {
  return new EtcdRegistry(options);
}

class EtcdRegistry implements Registry {
  readonly location: string;
  readonly keysAreFiles = false;
  readonly #parts: Omit<EtcdSessionParts, 'onClose'>;
  readonly #members: Members;
  /** Followers and sessions that are open. */
  readonly #open = new Set<{ close(): Promise<void> }>();

  constructor({ root, random = Math.random, endpoints, domain, reading, decoding, ...access }: EtcdRegistryOptions) {
    const tls = access.tls !== undefined;
    const scheme = `${tls ? 'etcds' : 'etcd'}${domain === undefined ? '' : '+srv'}`;
    this.location = `${scheme}://${domain ?? endpoints.join(',')}${root.startsWith('/') ? root : `/${root}`}`;
    const source = new MemberSource({
      find: domain === undefined ? membersOf(endpoints) : membersByRecord(domain, tls),
    });
    this.#parts = { access, source, keys: keySpace(root, reading, decoding), where: this.location, random };
    this.#members = new Members({ ...this.#parts, hasty: true });
  }

  follow(onEvent: (event: RegistryEvent) => void, range: KeyRange = wholeTree): Follower {
    const follower = new EtcdFollower({ ...this.#parts, range, onEvent });
    const open = {
      close: () => {
        this.#open.delete(open);
        return follower.close();
      },
    };
    this.#open.add(open);
    return open;
  }

  async read(prefix: string, signal?: AbortSignal): Promise<Listing> {
    const { keys } = this.#parts;
    const { revision, cluster, entries } = await this.#run(
      (client, pageMs) =>
        namingDenied(list(client, keys, withPrefix(keys, prefix), { pageMs }), () => `read ${describeRange(prefix)}`),
      signal,
    );
    return { revision, cluster, entries: [...entries.values()] };
  }

  write(
    key: string,
    value: string,
    { ttlMs, signal }: { ttlMs?: number; signal?: AbortSignal } = {},
  ): Promise<Revision> {
    const lease = ttlMs === undefined ? undefined : { ID: newLeaseId(), ttlMs };
    const put = {
      key: this.#parts.keys.toBytes(key),
      value: this.#parts.keys.toValue(value),
      ...(lease && { lease: lease.ID }),
    };
    return this.#run(async (client, callMs) => {
      if (lease !== undefined) await grantLease(client, { ...lease, callMs });
      const answer = client.kv.put(put, { deadline: Date.now() + callMs });
      return revision((await namingDenied(answer, () => `write ${key}`)).header.revision);
    }, signal);
  }

  async replace(
    key: string,
    value: string | undefined,
    since: Revision | undefined,
    signal?: AbortSignal,
  ): Promise<Revision | undefined> {
    const result = await this.transact({ changes: [{ key, value, since }] }, signal);
    return result.kind === 'done' ? result.revision : undefined;
  }

  transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult> {
    const { keys } = this.#parts;
    return this.#run(
      (client, callMs) =>
        namingDenied(transact(client, keys, transaction, callMs), () => deniedIn(client, keys, transaction, callMs)),
      signal,
    );
  }

  remove(key: string, signal?: AbortSignal): Promise<Revision | undefined> {
    const range = { key: this.#parts.keys.toBytes(key) };
    return this.#run(async (client, callMs) => {
      const call = client.kv.deleteRange(range, { deadline: Date.now() + callMs });
      const answer = await namingDenied(call, () => `write ${key}`);
      return answer.deleted === '0' ? undefined : revision(answer.header.revision);
    }, signal);
  }

  openSession(options: SessionOptions): Session {
    const open = { close: () => session.end() };
    const session = new EtcdSession({ ...this.#parts, onClose: () => this.#open.delete(open) }, options);
    this.#open.add(open);
    return session;
  }

  async close(): Promise<void> {
    this.#members.close();
    await Promise.all([...this.#open].map((one) => one.close()));
    this.#open.clear();
    // Sockets close in the next turn of the event loop.
    await pause(0);
  }

  #run<T>(call: (client: MemberClient, callMs: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#members.run(call, signal ?? timeLimit(defaultMs));
  }
}
