import { Map as PersistentMap } from 'immutable';
import { planChanges } from '../../src/haproxy/plan.ts';
import { describeStep } from '../../src/haproxy/step.ts';
import { allDirty } from '../../src/model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../../src/model/name.ts';
import { noRevision } from '../../src/model/revision.ts';
import type { RouteTarget } from '../../src/model/route-target.ts';
import type { Rendered } from '../../src/render/rendered.ts';
import { RouteMap } from '../../src/render/route-map.ts';

type Services = Readonly<Record<string, { head?: string; servers: Readonly<Record<string, string>> }>>;

export const baseText = 'defaults _base\n    mode http\n';

/** A configuration with these services, each with the lines of its servers. */
export function rendered(services: Services, base = baseText, routes: Readonly<Record<string, string>> = {}): Rendered {
  return {
    revision: noRevision,
    base: { before: base, indent: '', after: '' },
    policies: PersistentMap({
      'policy-a': 'defaults policy-a from _base\n',
      'policy-tcp': 'defaults policy-tcp from _base\n    mode tcp\n',
      'policy-sticky': 'defaults policy-sticky from _base\n    cookie C insert dynamic\n    dynamic-cookie-key k\n',
    }),
    backends: PersistentMap(
      Object.entries(services).map(([name, { head = `backend ${name}\n`, servers }]) => [
        name as ServiceName,
        {
          name: name as ServiceName,
          section: { before: head, indent: '    ', after: '\n' },
          servers: PersistentMap(
            Object.entries(servers).map(([id, line]) => [id as InstanceId, `server ${id} ${line}`]),
          ),
        },
      ]),
    ),
    routes: RouteMap.of(Object.entries(routes).map(([route, target]) => [route, target as RouteTarget])),
  };
}

type Conditions = {
  pending?: ReadonlyMap<string, string>;
  addBackend?: boolean;
  deletes?: boolean;
  obstructed?: boolean;
  keepsFormerAddress?: boolean;
};

/** The plan from one configuration to another: its steps as commands, and the reasons for a reload. */
export function plan(
  before: Rendered,
  after: Rendered,
  {
    pending = new Map(),
    addBackend = false,
    deletes = true,
    obstructed = false,
    keepsFormerAddress = false,
  }: Conditions = {},
) {
  const names = new Set([...before.backends.keys(), ...after.backends.keys()]);
  const conditions = { addBackend, deletes, obstructed, keepsFormerAddress };
  const { steps, reload } = planChanges(before, after, allDirty(names), pending, conditions);
  return { steps: steps.map(describeStep), reload: reload.map(({ kind }) => kind) };
}
