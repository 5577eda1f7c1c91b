import { leaderKey } from '../model/acme/keys.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Registry } from '../registry/registry.ts';

/** What to tell a person who asks for certificates by this policy, while no balancer orders any. */
export async function unorderedNote(
  registry: Pick<Registry, 'read'>,
  value: string | undefined,
): Promise<string | undefined> {
  const policy = value === undefined ? undefined : parsePolicy(value);
  if (policy?.ok !== true || policy.value.https.certificate === undefined) return undefined;
  // Who may write a policy may not read everything.
  const leader = await registry.read(leaderKey).catch(() => undefined);
  if (leader === undefined || leader.entries.some(({ key }) => key === leaderKey)) return undefined;
  return 'no balancer orders certificates now, so "certificate": "auto" has no effect until one runs with --acme';
}
