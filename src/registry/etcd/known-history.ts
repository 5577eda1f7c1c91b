import { createHash } from 'node:crypto';
import type { IEvent } from 'etcd3';
import type { IKeyValue } from 'etcd3/lib/rpc.js';
import type { KeySpace } from './key-space.ts';

/** The last change of a key as etcd delivered it: its revision, and a hash of all its fields, or that the key was deleted. */
export type Trace = { readonly revision: bigint; readonly print: string };

export type Traces = ReadonlyMap<string, Trace>;

// How many keys are remembered, and how far back: etcd reads all revisions from the oldest on when a watch begins there.
const mostTraces = 256;
const mostRevisions = 5000n;
const deleted = 'deleted';

/**
 * The last delivered changes. At a reconnect they prove whether etcd continues the same history.
 *
 * Nothing else proves that. A cluster that was restored from a snapshot has the same id, a raft term as low as that of a
 * cluster that was never restarted, and soon a higher revision. So the new watch begins at a remembered change, and etcd sends
 * again what it sent before (Replay). Both histories agree up to our revision R if each key that changed since then in either
 * of them has the same last change in both, and if both have the same number of keys at R. The number finds a deletion from
 * before our list, which was not delivered. Two histories that parted before the remembered changes would have to continue with
 * the same keys, values and leases at the same revisions.
 */
export class KnownHistory {
  readonly #keys: KeySpace;
  /** In the order of their revisions. */
  readonly #traces = new Map<string, Trace>();
  /** Changes at this revision and before may be missing here. */
  #forgotten = 0n;

  constructor(keys: KeySpace, newest: Traces = new Map(), forgotten = 0n) {
    this.#keys = keys;
    for (const [key, trace] of newest) this.#traces.set(key, trace);
    this.#forgotten = forgotten;
  }

  /** Takes what was delivered, in order. */
  take(events: readonly IEvent[]): void {
    const first = events[events.length - 1 - mostTraces];
    if (first !== undefined) this.#forget(BigInt(first.kv.mod_revision));
    for (const event of events) {
      if (BigInt(event.kv.mod_revision) <= this.#forgotten) continue;
      const trace = traceOf(event);
      const key = this.#keys.fromBytes(event.kv.key);
      this.#traces.delete(key);
      this.#traces.set(key, trace);
    }
    while (this.#traces.size > mostTraces) {
      const [oldest] = this.#traces.values();
      if (oldest === undefined) return;
      this.#forget(oldest.revision);
    }
  }

  /**
   * The changes that etcd has to send again to a follower at `revision`, and where they begin: after `compacted`, where etcd's
   * history begins. Undefined when there is nothing to compare.
   */
  expected(revision: bigint, compacted = 0n): { readonly since: bigint; readonly traces: Traces } | undefined {
    const floor = [this.#forgotten, compacted, revision - mostRevisions].reduce((a, b) => (a > b ? a : b));
    const traces = new Map([...this.#traces].filter(([, trace]) => trace.revision > floor));
    const [oldest] = traces.values();
    return oldest === undefined ? undefined : { since: oldest.revision, traces };
  }

  #forget(revision: bigint): void {
    this.#forgotten = revision;
    for (const [key, trace] of this.#traces) {
      if (trace.revision > revision) return;
      this.#traces.delete(key);
    }
  }
}

export type Replayed =
  /** There is more to come. */
  { readonly kind: 'wait' } | { readonly kind: 'same' } | { readonly kind: 'other'; readonly reason: string };

/** Compares the changes that etcd sends again with the delivered ones. */
export class Replay {
  readonly #keys: KeySpace;
  readonly #expected: Traces;
  /** All changes up to this revision were delivered before. */
  readonly #until: bigint;
  readonly #has: (key: string) => boolean;
  readonly #last: bigint;
  readonly #replayed = new Map<string, Trace>();
  #done = false;

  constructor(keys: KeySpace, expected: Traces, until: bigint, has: (key: string) => boolean) {
    this.#keys = keys;
    this.#expected = expected;
    this.#until = until;
    this.#has = has;
    this.#last = [...expected.values()].reduce((most, { revision }) => (revision > most ? revision : most), 0n);
  }

  /** Whether etcd has sent all of it. */
  get done(): boolean {
    return this.#done;
  }

  /** Takes the events of one or more whole revisions. */
  take(events: readonly IEvent[]): Replayed {
    let at = 0n;
    for (const event of events) {
      at = BigInt(event.kv.mod_revision);
      if (at > this.#until) break;
      const key = this.#keys.fromBytes(event.kv.key);
      if (this.#done) return { kind: 'other', reason: `etcd never sent the change of ${key} at revision ${at}` };
      this.#replayed.set(key, traceOf(event));
    }
    if (this.#done) return { kind: 'same' };
    if (at < this.#last) return { kind: 'wait' };
    this.#done = true;
    return this.#verdict();
  }

  #verdict(): Replayed {
    for (const [key, { revision, print }] of this.#expected) {
      const again = this.#replayed.get(key);
      if (again?.revision !== revision || again.print !== print) {
        return { kind: 'other', reason: `the change of ${key} at revision ${revision} is a different one now` };
      }
    }
    for (const [key, { revision, print }] of this.#replayed) {
      // Of changes before our list we know only the result: the last value of the key, or that it is gone.
      if (!this.#expected.has(key) && (print !== deleted || this.#has(key))) {
        return { kind: 'other', reason: `etcd never sent the change of ${key} at revision ${revision}` };
      }
    }
    return { kind: 'same' };
  }
}

function traceOf({ type, kv }: IEvent): Trace {
  return { revision: BigInt(kv.mod_revision), print: type === 'Delete' ? deleted : printOf(kv) };
}

function printOf({ value, create_revision, version, lease }: IKeyValue): string {
  return createHash('sha1').update(`${create_revision} ${version} ${lease} `).update(value).digest('base64');
}

/** The newest of the known traces and of `kvs`, and the revision up to which some are missing. */
export function newestOf(
  before: { readonly traces: Traces; readonly forgotten: bigint },
  kvs: readonly IKeyValue[],
  keys: KeySpace,
): { readonly traces: Traces; readonly forgotten: bigint } {
  let { forgotten } = before;
  const revisions = [
    ...[...before.traces.values()].map(({ revision }) => revision),
    ...kvs.map(({ mod_revision }) => BigInt(mod_revision)),
  ].sort(descending);
  const beyond = revisions[mostTraces];
  if (beyond !== undefined && beyond > forgotten) forgotten = beyond;
  const fresh = kvs
    .filter(({ mod_revision }) => BigInt(mod_revision) > forgotten)
    .map((kv) => [keys.fromBytes(kv.key), { revision: BigInt(kv.mod_revision), print: printOf(kv) }] as const);
  const all = [...[...before.traces].filter(([, { revision }]) => revision > forgotten), ...fresh];
  return { traces: new Map(all.sort(([, a], [, b]) => descending(b.revision, a.revision))), forgotten };
}

const descending = (a: bigint, b: bigint): number => (a < b ? 1 : a > b ? -1 : 0);
