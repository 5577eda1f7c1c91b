import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { policyKey } from '../../model/key.ts';
import { secretFileOf } from '../../model/policy/auth.ts';

/** The policies whose file of users or keys is not in use, so that HAProxy lets nobody in. `problemOf`: why; undefined when it is in use. */
export function unauthenticated(
  { services }: Pick<Catalog, 'services'>,
  problemOf: (file: string) => string | undefined,
): readonly Refusal[] {
  return [...services.values()].flatMap(({ name, policy }) => {
    const file = secretFileOf(policy.auth);
    const problem = file === undefined ? undefined : problemOf(file);
    if (problem === undefined) return [];
    return [{ key: policyKey(name), reason: `auth: every request is answered with status 503: ${problem}` }];
  });
}
