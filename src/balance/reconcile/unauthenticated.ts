import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import { secretFileOf } from '../../model/policy/auth.ts';

/** The policies whose file of users or keys is not in use, so that HAProxy lets nobody in. */
export class Unauthenticated {
  /** The file of each service that needs one. Kept, because a look at 20,000 services takes 10 ms, and each round asks. */
  readonly #files = new Map<ServiceName, string>();

  /** The services of `dirty` were applied as this catalog has them. */
  applied(dirty: DirtySet, { services }: Pick<Catalog, 'services'>): void {
    for (const [name, { whole }] of dirty) {
      if (!whole) continue;
      const file = secretFileOf(services.get(name)?.policy.auth);
      if (file === undefined) this.#files.delete(name);
      else this.#files.set(name, file);
    }
  }

  /** `problemOf`: why a file is not in use; undefined when it is. */
  refusals(problemOf: (file: string) => string | undefined): readonly Refusal[] {
    return [...this.#files].flatMap(([name, file]) => {
      const problem = problemOf(file);
      if (problem === undefined) return [];
      return [{ key: policyKey(name), reason: `auth: every request is answered with status 503: ${problem}` }];
    });
  }
}
