import { Fault } from '../model/fault.ts';
import { parsePolicy } from '../model/policy.ts';
import { readServices } from '../operate/read-services.ts';
import { type PolicyContext, readPolicy } from './policy-context.ts';
import { writeAndTell } from './policy-write.ts';

/** `pointsman policy delete SERVICE`. */
export async function deletePolicy(context: PolicyContext): Promise<number> {
  const { registry, service, key } = context;
  const { entry } = await readPolicy(registry, key);
  if (entry === undefined) throw new Fault('not-found', `${service} has no policy in the registry`);
  const { services } = await readServices(registry, [service], Date.now());
  const instances = services.get(service)?.registered.size ?? 0;
  return writeAndTell(context, async () => {
    const revision = await registry.replace(key, undefined, entry.revision);
    if (revision === undefined) {
      const hint = `look at it with pointsman policy get ${service}`;
      throw new Fault('conflict', 'somebody else changed it a moment ago: it was not deleted', { where: key, hint });
    }
    const impact = impactOf(service, entry.value, instances);
    return { before: entry.value, after: undefined, revision, impact, notes: [] };
  });
}

/** What is not served any more without the policy. */
function impactOf(service: string, value: string, instances: number): readonly string[] {
  const policy = parsePolicy(value);
  const places = !policy.ok
    ? []
    : policy.value.mode === 'tcp'
      ? [`port ${policy.value.port}`]
      : policy.value.routes.flatMap(({ hosts }) => hosts);
  const gone = places.length === 0 ? [] : [`no longer served for ${service}: ${places.join(', ')}`];
  const count = instances === 1 ? '1 instance' : `${instances} instances`;
  const rest =
    instances === 0
      ? `${service} has no instance: nothing of it is served`
      : `${service} has ${count}, which HAProxy serves with the default policy, at the host ${service}`;
  return [...gone, rest];
}
