import type { Service } from '../../catalog/service.ts';
import type { InstanceId } from '../../model/name.ts';

/**
 * Whether the process that registered an instance has checked it before, at least as thoroughly as the policy's check: a connection
 * does not prove that the instance answers requests.
 */
export function vouches({ policy, instances }: Pick<Service, 'policy' | 'instances'>, id: InstanceId): boolean {
  const checked = instances.get(id)?.checked;
  if (checked === undefined) return false;
  return policy.check.kind === 'tcp' || policy.check.kind === 'none' || checked !== 'tcp';
}
