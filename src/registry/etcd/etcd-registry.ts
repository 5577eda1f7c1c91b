import { setTimeout as pause } from 'node:timers/promises';
import type { ICompare } from 'etcd3';
import type { Revision } from '../../model/revision.ts';
import { revision } from '../../model/revision.ts';
import { type Follower, type Listing, type ReadFilter, type Registry, type Session, wholeTree } from '../registry.ts';
import { follow } from './follow.ts';
import { keySpace } from './key-space.ts';
import { grantLease, newLeaseId } from './lease.ts';
import type { EtcdAccess } from './member-client.ts';
import { MemberSource } from './member-source.ts';
import { Members } from './members.ts';
import { membersByRecord, membersOf } from './resolve-members.ts';
import { EtcdSession } from './session.ts';
import { list, withPrefix } from './tree.ts';

export type EtcdRegistryOptions = EtcdAccess & {
  /** `host:port` each; names with several addresses stand for several members. */
  readonly endpoints: readonly string[];
  /** The domain whose SRV records name the members, instead of `endpoints`. */
  readonly domain?: string | undefined;
  /** The key that everything stands under, with a slash at its end. */
  readonly root: string;
  readonly random?: () => number;
  /** Which values are not read. */
  readonly reading?: ReadFilter | undefined;
};

/** How long a read or a write tries the members when the caller sets no limit, in ms. */
const defaultMs = 10_000;

/** The registry in an etcd cluster, 3.4 or later. Nothing is connected before it is used. */
export function openEtcdRegistry(options: EtcdRegistryOptions): Registry {
  const { root, random = Math.random, endpoints, domain, reading, ...access } = options;
  const keys = keySpace(root, reading);
  const tls = access.tls !== undefined;
  const scheme = `${tls ? 'etcds' : 'etcd'}${domain === undefined ? '' : '+srv'}`;
  const location = `${scheme}://${domain ?? endpoints.join(',')}${root.startsWith('/') ? root : `/${root}`}`;
  const source = new MemberSource({ find: domain === undefined ? membersOf(endpoints) : membersByRecord(domain, tls) });
  const members = new Members({ access, source, where: location, random, hasty: true });
  const open = new Set<{ close(): Promise<void> }>();
  const limit = (signal: AbortSignal | undefined) => signal ?? AbortSignal.timeout(defaultMs);

  return {
    location,
    follow(onEvent, range = wholeTree): Follower {
      const follower = follow({ access, source, keys, range, random, onEvent });
      const owned = {
        async close() {
          open.delete(owned);
          await follower.close();
        },
      };
      open.add(owned);
      return owned;
    },
    async read(prefix, signal): Promise<Listing> {
      const listing = await members.run(
        (client, pageMs) => list(client, keys, withPrefix(keys, prefix), { pageMs }),
        limit(signal),
      );
      const { revision, cluster, entries } = listing;
      return { revision, cluster, entries: [...entries.values()] };
    },
    write(key, value, { ttlMs, signal } = {}): Promise<Revision> {
      const lease = ttlMs === undefined ? undefined : { ID: newLeaseId(), ttlMs };
      const under = lease === undefined ? {} : { lease: lease.ID };
      const put = { key: keys.toBytes(key), value: Buffer.from(value), ...under };
      return members.run(async (client, callMs) => {
        if (lease !== undefined) await grantLease(client, { ...lease, callMs });
        return revision((await client.kv.put(put, { deadline: Date.now() + callMs })).header.revision);
      }, limit(signal));
    },
    replace(key, value, since, signal): Promise<Revision | undefined> {
      const at = keys.toBytes(key);
      const compare: ICompare =
        since === undefined
          ? { key: at, target: 'Create', result: 'Equal', create_revision: '0' }
          : { key: at, target: 'Mod', result: 'Equal', mod_revision: String(since) };
      const change =
        value === undefined
          ? { request_delete_range: { key: at } }
          : { request_put: { key: at, value: Buffer.from(value) } };
      return members.run(async (client, callMs) => {
        const asked = { compare: [compare], success: [change], failure: [] };
        const answer = await client.kv.txn(asked, { deadline: Date.now() + callMs });
        return answer.succeeded ? revision(answer.header.revision) : undefined;
      }, limit(signal));
    },
    remove(key, signal): Promise<Revision | undefined> {
      return members.run(async (client, callMs) => {
        const deadline = Date.now() + callMs;
        const answer = await client.kv.deleteRange({ key: keys.toBytes(key) }, { deadline });
        return answer.deleted === '0' ? undefined : revision(answer.header.revision);
      }, limit(signal));
    },
    openSession(sessionOptions): Session {
      const session = new EtcdSession({ access, source, keys, where: location, random }, sessionOptions);
      const owned = { close: () => session.end() };
      open.add(owned);
      return {
        put: (key, value, signal) => session.put(key, value, signal),
        remove: (key, signal) => session.remove(key, signal),
        async close(signal) {
          open.delete(owned);
          await session.close(signal);
        },
      };
    },
    async close() {
      members.close();
      await Promise.all([...open].map((one) => one.close()));
      open.clear();
      // grpc-js closes its sockets in the next turns of the event loop.
      await pause(0);
    },
  };
}
