import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foldEntries } from '../../catalog/fold-event.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { type Ejections, eject, forget, nextChange, noEjections, passTime, withoutEjected } from './ejection.ts';

const web = 'web' as ServiceName;
const id = (text: string) => text as InstanceId;
const settings = { errors: 5, withinMs: 10_000, forMs: 30_000, most: 0.3 };

/** HAProxy took these servers down, and those others are up. */
const marked = (servers: readonly string[], up: readonly string[], recent = 5) => ({
  ...{ service: web, settings, size: servers.length + up.length, up: new Set(up.map(id)) },
  servers: servers.map((one) => ({ id: id(one), recent })),
});
const told = (transitions: readonly { readonly kind: string; readonly id: string; readonly reason?: string }[]) =>
  transitions.map(({ kind, id: one, reason }) => `${one} ${kind}${reason === undefined ? '' : `: ${reason}`}`);

test('of ten servers three are ejected at most, and of two one', () => {
  const ten = eject(noEjections, 0, marked(['a', 'b', 'c', 'd'], ['e', 'f', 'g', 'h', 'i', 'j']));
  expect(told(ten.transitions)).toEqual(['a ejected', 'b ejected', 'c ejected', 'd spared: most']);
  const two = eject(noEjections, 0, marked(['a'], ['b']));
  expect(told(two.transitions)).toEqual(['a ejected']);
  expect(told(eject(two.ejections, 1, { ...marked(['b'], []), size: 2 }).transitions)).toEqual(['b spared: most']);
});

test('the last server that is up is never ejected', () => {
  expect(told(eject(noEjections, 0, marked(['a'], [])).transitions)).toEqual(['a spared: last']);
  const all = { ...settings, most: 1 };
  const together = eject(noEjections, 0, { ...marked(['a', 'b', 'c'], []), settings: all });
  expect(told(together.transitions)).toEqual(['a ejected', 'b ejected', 'c spared: last']);
});

test('errors that are too far apart eject nothing', () => {
  expect(told(eject(noEjections, 0, marked(['a'], ['b', 'c'], 4)).transitions)).toEqual(['a spared: too slow']);
});

test('a server that is out gets a trial, then all requests, and the next time it is out for longer', () => {
  const out = eject(noEjections, 0, marked(['a'], ['b', 'c']));
  expect(nextChange(out.ejections)).toBe(30_000);
  expect(passTime(out.ejections, 29_999).transitions).toEqual([]);
  const trial = passTime(out.ejections, 30_000);
  expect(told(trial.transitions)).toEqual(['a trial']);
  const again = eject(trial.ejections, 31_000, marked(['a'], ['b', 'c']));
  expect(again.transitions).toEqual([{ kind: 'ejected', service: web, id: 'a', errors: 5, times: 2, forMs: 60_000 }]);
  const passed = passTime(trial.ejections, 40_000);
  expect(told(passed.transitions)).toEqual(['a returned']);
  expect(eject(passed.ejections, 41_000, marked(['a'], ['b'])).transitions).toMatchObject([{ times: 2 }]);
  const forgotten = passTime(passed.ejections, 70_000);
  expect(forgotten.ejections.isEmpty()).toBe(true);
  expect(nextChange(forgotten.ejections)).toBeUndefined();
});

test('an instance that left is forgotten, and a policy that ejects none brings all back', () => {
  const { ejections } = eject(noEjections, 0, { ...marked(['a', 'b'], ['c', 'd', 'e', 'f', 'g']) });
  const left = forget(ejections, web, { ejects: true, has: (one) => one !== 'a' });
  expect(told(left.transitions)).toEqual([]);
  const off = forget(left.ejections, web, { ejects: false, has: () => true });
  expect(told(off.transitions)).toEqual(['b returned']);
  expect(off.ejections.isEmpty()).toBe(true);
});

test('an ejected instance has the weight 0, one on trial a tenth, and a sticky one loses its clients', () => {
  const weights = (policy: object, ejections: Ejections) => {
    const entries = { 'services/web': JSON.stringify(policy), 'instances/web/a': '10.0.0.1:80' };
    const all = Object.entries(entries).map(
      ([key, value]) => [key, { key, value, revision: revision(1n), leased: true }] as const,
    );
    const { catalog } = foldEntries(new Map(all));
    const { weight, state } = withoutEjected(catalog, ejections).services.get(web)?.instances.get(id('a')) ?? {};
    return [weight, state];
  };
  const out = eject(noEjections, 0, marked(['a'], ['b', 'c'])).ejections;
  expect(weights({}, out)).toEqual([0, 'ready']);
  expect(weights({ sticky: { cookie: 'c' } }, out)).toEqual([100, 'draining']);
  expect(weights({}, passTime(out, 30_000).ejections)).toEqual([10, 'ready']);
  expect(weights({}, passTime(passTime(out, 30_000).ejections, 40_000).ejections)).toEqual([100, 'ready']);
});

test('whatever happens, no more servers are out than the policy allows, and one that is up stays', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const step = fc.record({ down: fc.uniqueArray(fc.constantFrom(...names)), after: fc.nat(40_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 0, max: 100 }), (steps, percent) => {
      let ejections = noEjections;
      let now = 0;
      for (const { down, after } of steps) {
        now += after;
        ejections = passTime(ejections, now).ejections;
        const up = names.filter((one) => !down.includes(one)).map(id);
        const servers = down.map((one) => ({ id: id(one), recent: 9 }));
        const most = percent / 100;
        ejections = eject(ejections, now, {
          ...{ service: web, settings: { ...settings, most }, servers, size: 5, up: new Set(up) },
        }).ejections;
        const out = ejections.get(web)?.count(({ phase }) => phase === 'out') ?? 0;
        expect(out).toBeLessThanOrEqual(Math.min(4, Math.max(1, Math.floor(most * 5))));
      }
    }),
  );
});
