import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { ModelHaproxy } from '../../test/support/model-haproxy.ts';
import { isNightly } from '../../test/support/nightly.ts';
import { allDirty } from '../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { noRevision } from '../model/revision.ts';
import type { RouteTarget } from '../model/route-target.ts';
import type { Rendered } from '../render/rendered.ts';
import { RouteMap } from '../render/route-map.ts';
import { afterStep, planChanges } from './plan.ts';
import { commandsOf, deleteBackendCommands, outcomeOf } from './step.ts';

type Lines = Readonly<Record<string, Readonly<Record<string, string>>>>;

const policies = ['policy-a', 'policy-b', 'policy-c'] as const;
const serverText = fc
  .record({
    host: fc.constantFrom('10.0.0.1', '10.0.0.2', '[fd00::1]'),
    weight: fc.constantFrom(0, 1, 100),
    check: fc.boolean(),
    disabled: fc.boolean(),
  })
  .map((s) => `${s.host}:80 weight ${s.weight}${s.check ? ' check' : ''}${s.disabled ? ' disabled' : ''}`);
const services = fc.dictionary(
  fc.constantFrom('web', 'api', 'db'),
  fc.record({
    policy: fc.constantFrom(...policies),
    servers: fc.dictionary(fc.constantFrom('a', 'b', 'c'), serverText),
  }),
);
const busy = fc.subarray(['web/a', 'web/b', 'api/a', 'api/c', 'db/b']);
const history = fc.array(fc.record({ services, busy }), { minLength: 1, maxLength: 8 });

function rendered(
  all: Readonly<Record<string, { policy: string; servers: Readonly<Record<string, string>> }>>,
): Rendered {
  const entries = Object.entries(all);
  return {
    revision: noRevision,
    base: { before: 'base\n', indent: '', after: '' },
    policies: PersistentMap(policies.map((name) => [name, `defaults ${name} from _base\n`])),
    backends: PersistentMap(
      entries.map(([name, { policy, servers }]) => [
        name as ServiceName,
        {
          name: name as ServiceName,
          section: { before: `backend ${name} from ${policy}\n`, indent: '    ', after: '\n' },
          servers: PersistentMap(
            Object.entries(servers).map(([id, text]) => [id as InstanceId, `server ${id} ${text}`]),
          ),
        },
      ]),
    ),
    routes: RouteMap.of(entries.map(([name]) => [`${name}/`, name as RouteTarget])),
  };
}

/** The servers that get requests: not those of backends without a route, and not those that leave. */
function serving(model: ModelHaproxy, pending: ReadonlyMap<string, string>): Lines {
  const out: Record<string, Record<string, string>> = {};
  for (const [route, name] of model.routes) {
    const backend = model.backends.get(name);
    if (backend === undefined) throw new Error(`the route ${route} leads to nothing`);
    if (!backend.published) throw new Error(`${name} is led to and hidden`);
    const servers: Record<string, string> = {};
    for (const [id, s] of backend.servers) {
      const wasPending = pending.has(`${name}/${id}`);
      if (wasPending && s.ready) throw new Error(`${name}/${id} left and serves`);
      if (!wasPending) servers[id] = `${s.target} ${s.weight} ${s.ready} ${s.keywords}`;
    }
    out[name] = servers;
  }
  return out;
}

test.each([
  { addBackend: true, deletes: true },
  { addBackend: false, deletes: true },
  { addBackend: false, deletes: false },
])(
  'any history of plans, done on a model of HAProxy, serves what was desired (add backend: $addBackend, deletes servers: $deletes)',
  ({ addBackend, deletes }) => {
    fc.assert(
      fc.property(history, (states) => {
        const model = new ModelHaproxy(addBackend);
        let served = rendered({});
        const pending = new Map<string, string>();
        for (const state of states) {
          const desired = rendered(state.services);
          model.busy = new Set(state.busy);
          const dirty = allDirty(new Set([...served.backends.keys(), ...desired.backends.keys()]));
          const { steps, reload } = planChanges(served, desired, dirty, pending, { addBackend, deletes });
          let refused = false;
          for (const step of steps) {
            const commands = commandsOf(step, 'routes.map');
            const outcome = outcomeOf(
              commands,
              commands.map(({ text }) => model.run(text)),
            );
            if (outcome.kind === 'refused') {
              refused = true;
              continue;
            }
            if (step.kind === 'revive-server') pending.delete(`${step.backend}/${step.server.name}`);
            if (outcome.kind === 'lingers' && 'name' in step) {
              const line = served.backends.get(step.backend as ServiceName)?.servers.get(step.name as InstanceId);
              if (line !== undefined) pending.set(`${step.backend}/${step.name}`, line);
            }
            served = afterStep(served, desired, step);
          }
          expect(refused).toBe(false);
          // Nothing is led astray before the reload either.
          serving(model, pending);
          if (reload.length > 0) {
            model.load(desired);
            served = desired;
            pending.clear();
          }
          const ideal = new ModelHaproxy(addBackend);
          ideal.load(desired);
          expect(serving(model, pending)).toEqual(serving(ideal, new Map()));
          for (const name of served.backends.keys()) {
            const empty = model.backends.get(name)?.servers.size === 0;
            if (!addBackend || desired.backends.has(name) || !empty) continue;
            const commands = deleteBackendCommands(name);
            expect(
              outcomeOf(
                commands,
                commands.map(({ text }) => model.run(text)),
              ),
            ).toEqual({ kind: 'done' });
            served = { ...served, backends: served.backends.delete(name) };
          }
        }
      }),
      { numRuns: isNightly ? 400 : 150 },
    );
  },
);
