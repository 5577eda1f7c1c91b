import type { IKeyValue } from 'etcd3/lib/rpc.js';
import { type Revision, revision } from '../../model/revision.ts';
import type { Entry, KeyRange } from '../registry.ts';
import { TooLarge } from './grpc-channel.ts';
import type { KeySpace } from './key-space.ts';
import { newestOf, type Traces } from './known-history.ts';
import type { MemberClient } from './member-client.ts';

/** Keys as etcd's requests name them: from `key` up to `range_end`. */
export type ByteRange = { readonly key: Buffer; readonly range_end: Buffer };

export const withPrefix = (keys: KeySpace, prefix: string): ByteRange => {
  const key = keys.toBytes(prefix);
  return { key, range_end: endOfPrefix(key) };
};

export const bytesWithin = (keys: KeySpace, { first, end }: KeyRange): ByteRange => ({
  key: keys.toBytes(first),
  range_end: end === undefined ? endOfPrefix(keys.toBytes('')) : keys.toBytes(end),
});

/** The first key after all that begin with `prefix`: its last byte that is not 0xff, plus one. */
function endOfPrefix(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  for (let i = end.length - 1; i >= 0; i -= 1) {
    const byte = end[i] ?? 0xff;
    if (byte < 0xff) {
      end[i] = byte + 1;
      return end.subarray(0, i + 1);
    }
  }
  return Buffer.from([0]);
}

export type TreeListing = {
  readonly cluster: string;
  /** raft's term when it was read. */
  readonly term: bigint;
  readonly revision: Revision;
  readonly entries: ReadonlyMap<string, Entry>;
  /** How often each was changed since it was created. */
  readonly versions: ReadonlyMap<string, number>;
  /** The last changes among them, and the revision up to which these are not all. */
  readonly newest: { readonly traces: Traces; readonly forgotten: bigint };
};

// Values may have 1.5 MB, and etcd has no bound on the bytes of an answer: the first page is small, each further one as large as the
// sizes seen allow, and an answer that is too large is not read. Pages of few keys are no choice: for each page etcd counts all
// keys that remain, so a list of 1,000,000 keys in pages of 2,000 takes it 87 s of processor time.
const pages = { first: 50, growth: 4, most: 50_000, aimBytes: 2 * 2 ** 20, mostBytes: 8 * 2 ** 20 };

/** How many keys the next page has, when the last one asked for `limit` and had so many bytes, or would have had them. */
function nextLimit(limit: number, bytes: number): number {
  const fitting = Math.floor((limit * pages.aimBytes) / Math.max(bytes, 1));
  return Math.max(1, Math.min(fitting, limit * pages.growth, pages.most));
}

/**
 * Reads everything in the range at one revision, linearizable: the newest, or `at`. All or nothing: if any page fails it
 * rejects, because a partial list would read as the removal of what is missing. `pageMs`: how long a page may take, if not
 * what any call may.
 */
export async function list(
  client: MemberClient,
  keys: KeySpace,
  range: ByteRange,
  { at, pageMs }: { readonly at?: bigint; readonly pageMs?: number } = {},
): Promise<TreeListing> {
  const { range_end } = range;
  const entries = new Map<string, Entry>();
  const versions = new Map<string, number>();
  let { key } = range;
  let limit = pages.first;
  let pinned = at?.toString();
  let cluster = '';
  let term = 0n;
  let newest: TreeListing['newest'] = { traces: new Map(), forgotten: 0n };
  for (;;) {
    const pinning = pinned === undefined ? {} : { revision: pinned };
    const page = await client.kv
      .range(
        { key, range_end, limit, ...pinning },
        {
          deadline: pageMs === undefined ? undefined : Date.now() + pageMs,
          // A single key has to be read, whatever its size.
          mostBytes: limit === 1 ? undefined : pages.mostBytes,
        },
      )
      .catch((error: unknown) => {
        if (!(error instanceof TooLarge)) throw error;
        limit = nextLimit(limit, error.bytes);
      });
    if (page === undefined) continue;
    pinned ??= page.header.revision;
    cluster ||= page.header.cluster_id;
    term ||= BigInt(page.header.raft_term);
    for (const kv of page.kvs) {
      const entry = keys.toEntry(kv);
      entries.set(entry.key, entry);
      versions.set(entry.key, Number(kv.version));
    }
    newest = newestOf(newest, page.kvs, keys);
    limit = nextLimit(limit, sizeOf(page.kvs));
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined)
      return { cluster, term, revision: revision(pinned), entries, versions, newest };
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

const sizeOf = (kvs: readonly IKeyValue[]): number =>
  kvs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
