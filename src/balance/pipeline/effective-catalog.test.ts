import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { instanceKey, overrideKey, policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { loadTemplates } from '../../render/load-templates.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { defaultGuardPolicy, emptyGuard, stepGuard } from '../guard/guard.ts';
import { guardedCatalog } from '../guard/losses.ts';
import { noQuarantine, withOffenders } from '../quarantine/quarantine.ts';
import { proven } from '../quarantine/review.ts';
import { effectiveCatalog, shownService } from './effective-catalog.ts';

const [web, api] = ['web' as ServiceName, 'api' as ServiceName];
const [a, b, c] = ['a' as InstanceId, 'b' as InstanceId, 'c' as InstanceId];
const templates = await loadTemplates(join(import.meta.dirname, '../../../templates'), undefined);

function put(catalog: Catalog, values: Readonly<Record<string, string>>): Catalog {
  const at = revision(catalog.revision + 1n);
  const changes = Object.entries(values).map(
    ([key, value]) => ({ kind: 'put', entry: { key, value, revision: at, leased: true } }) as const,
  );
  return foldEvent(catalog, { kind: 'changes', revision: at, changes }).catalog;
}

/** Web had two versions of its policy, and api one. HAProxy refuses the newest of both. C is guarded, and a drained. */
function world() {
  const first = put(emptyCatalog, {
    [policyKey(web)]: '{"maxconn":1,"split":{"v1":3,"*":1}}',
    [instanceKey(web, a)]: '10.0.0.1:80',
    [instanceKey(web, b)]: '{"address":"10.0.0.2:80","version":"v1"}',
    [instanceKey(web, c)]: '{"address":"c.example:80","version":"v2"}',
    [overrideKey(web, a)]: '{"kind":"drain"}',
  });
  const lost = first.services.get(web)?.registered.get(c);
  if (lost === undefined) throw new Error('c is registered');
  const deleted = [{ kind: 'delete', key: instanceKey(web, c), revision: revision(2n) }] as const;
  const without = foldEvent(first, { kind: 'changes', revision: revision(2n), changes: deleted }).catalog;
  const catalog = put(without, { [policyKey(web)]: '{"maxconn":2}', [policyKey(api)]: '{"maxconn":3}' });
  const resume = { kind: 'resume', service: web, lost: 1, of: 3, remainingMs: 1000, instances: [lost] } as const;
  const { guard } = stepGuard(emptyGuard(defaultGuardPolicy), 0, resume);
  const requested = { catalog, templates };
  const refused = new Map([
    [policyKey(web), 'refused'],
    [policyKey(api), 'refused'],
  ]);
  const rendered = { desired: nothingRendered, served: nothingRendered };
  const good = proven(noQuarantine, { catalog: first, templates });
  const quarantine = withOffenders(good, refused, { requested, ...rendered });
  const permitted = (all: Catalog) => ({ catalog: all, refused: [] });
  return {
    catalog,
    stages: {
      guarded: (all: Catalog) => guardedCatalog(all, guard),
      ejected: (all: Catalog) => all,
      ...{ quarantine, permitted, templates },
    },
  };
}

test('each stage of the effective catalog changes what the stage before it made', () => {
  const { catalog, stages } = world();
  const seen: string[] = [];
  const located = (guarded: Catalog): Catalog => {
    const service = guarded.services.get(web);
    if (service === undefined) throw new Error('web is a service');
    seen.push(...service.instances.keys());
    const instances = service.instances.delete(c);
    return { ...guarded, services: guarded.services.set(web, { ...service, instances }) };
  };
  const permitted = (quarantined: Catalog, lastGood: Iterable<ServiceName>) => {
    const services = quarantined.services.withMutations((all) => {
      for (const name of lastGood) all.update(name, (one) => one && { ...one, instances: one.instances.delete(b) });
    });
    return { catalog: { ...quarantined, services }, refused: [] };
  };
  const effective = effectiveCatalog(catalog, { ...stages, located, permitted });
  expect(seen.sort()).toEqual(['a', 'b', 'c']);
  expect(effective.guarded.services.get(web)?.instances.get(a)?.state).toBe('draining');
  expect(effective.requested.catalog.services.get(web)?.policy.maxconn).toBe(2);
  expect([...(effective.requested.catalog.services.get(web)?.instances.keys() ?? [])].sort()).toEqual(['a', 'b']);
  expect(effective.catalog.services.get(web)?.policy.maxconn).toBe(1);
  expect([...(effective.catalog.services.get(web)?.instances.keys() ?? [])]).toEqual(['a']);
  expect(effective.catalog.services.has(api)).toBe(false);
});

test('people see all guarded instances with the policy and the weights that serve, and services that are left out', () => {
  const { catalog, stages } = world();
  const effective = effectiveCatalog(catalog, { ...stages, located: (guarded) => guarded });
  const shown = [...effective.guarded.services.values()].map((service) => shownService(effective, service));
  const weights = shown.flatMap(({ name, policy, instances }) => [
    `${name} ${policy.maxconn}`,
    ...[...instances.values()].map(({ id, weight }) => `${id} ${weight}`),
  ]);
  expect(weights.sort()).toEqual(['a 0', 'api 3', 'b 256', 'c 85', 'web 1']);
});
