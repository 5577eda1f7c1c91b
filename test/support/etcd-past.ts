import { describe } from '../../src/model/fault.ts';
import { keySpace } from '../../src/registry/etcd/key-space.ts';
import { type MemberClient, openMember } from '../../src/registry/etcd/member-client.ts';
import { list, withPrefix } from '../../src/registry/etcd/tree.ts';
import { until } from './until.ts';

/** Reads a tree as etcd had it at some revision: what a follower's view of that revision is compared with. */
export function openPast(endpoints: readonly string[], root: string) {
  const keys = keySpace(root);
  const range = withPrefix(keys, '');
  let client: MemberClient | undefined;
  let next = 0;
  return {
    /** Undefined when that revision was compacted. Asks one member after the other, because some may be down. */
    async read(revision: bigint): Promise<Readonly<Record<string, string>> | undefined> {
      const found = await until(
        `a member tells revision ${revision}`,
        async () => {
          client ??= await openMember({ address: endpoints[next++ % endpoints.length] ?? '' }, {});
          try {
            const { entries } = await list(client, keys, range, { at: revision });
            return Object.fromEntries([...entries.values()].map(({ key, value }) => [key, value]).sort());
          } catch (error) {
            if (/has been compacted/.test(describe(error))) return 'compacted' as const;
            client.close();
            client = undefined;
            throw error;
          }
        },
        { deadlineMs: 30_000 },
      );
      return found === 'compacted' ? undefined : found;
    },
    close: () => client?.close(),
  };
}
