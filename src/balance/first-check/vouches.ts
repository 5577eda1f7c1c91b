import type { Service } from '../../catalog/service.ts';
import type { InstanceId } from '../../model/name.ts';

/**
 * Whether the process that registered an instance has found it well before, by asking at least as much as the policy's check
 * does: a connection does not say that a request is answered.
 */
export function vouches({ policy, instances }: Pick<Service, 'policy' | 'instances'>, id: InstanceId): boolean {
  const checked = instances.get(id)?.checked;
  if (checked === undefined) return false;
  return policy.check.kind === 'tcp' || policy.check.kind === 'none' || checked !== 'tcp';
}
