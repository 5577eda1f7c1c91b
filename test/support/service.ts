import { Map as PersistentMap } from 'immutable';
import type { Service } from '../../src/catalog/service.ts';
import { noClaim } from '../../src/model/claim.ts';
import { parseInstance } from '../../src/model/instance.ts';
import type { InstanceId, ServiceName } from '../../src/model/name.ts';
import { defaultPolicy } from '../../src/model/policy.ts';

export type InstanceFields = {
  readonly version: string | undefined;
  readonly weight?: number | undefined;
  readonly state?: string | undefined;
};

const web = 'web' as ServiceName;

/** A service `web` with instances `i0`, `i1` and so on, and with a split if one is given. */
export function serviceOf(
  split: Readonly<Record<string, number>> | undefined,
  fields: readonly InstanceFields[],
): Service {
  const instances = PersistentMap(
    fields.map((some, i) => {
      const id = `i${i}` as InstanceId;
      const parsed = parseInstance(web, id, JSON.stringify({ address: '10.0.0.1:80', ...some }));
      if (!parsed.ok) throw new Error(parsed.reason);
      return [id, parsed.value] as const;
    }),
  );
  return {
    name: web,
    policy: { ...defaultPolicy, split: split && new Map(Object.entries(split)) },
    declared: true,
    since: undefined,
    claim: noClaim,
    registered: instances,
    instances,
    numbers: PersistentMap(),
    suspended: undefined,
  };
}
