import { leaderKey } from '../model/acme/keys.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Registry } from '../registry/registry.ts';

/** What to tell a person who asks for certificates by one of these policies, while no balancer orders any. */
export async function unorderedNote(
  registry: Pick<Registry, 'read'>,
  policies: readonly string[],
): Promise<string | undefined> {
  const asks = policies.some((value) => {
    const policy = parsePolicy(value);
    return policy.ok && policy.value.https.certificate !== undefined;
  });
  if (!asks) return undefined;
  // Who may write a policy may not read everything.
  const leader = await registry.read(leaderKey).catch(() => undefined);
  if (leader === undefined || leader.entries.some(({ key }) => key === leaderKey)) return undefined;
  return 'no balancer orders certificates now, so "certificate": "auto" has no effect until one runs with --acme';
}
