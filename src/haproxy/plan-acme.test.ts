import { expect, test } from 'vitest';
import { baseText, plan, rendered } from '../../test/support/plan.ts';
import { withdrawable } from './plan-routes.ts';

const withAcme = `${baseText}\nbackend _acme from _base\n`;
const route = 'shop.example.com/.well-known/acme-challenge/t/';
const target = `_acme/t.${'x'.repeat(43)}`;
const web = { web: { servers: {} } };
const having = (routes: Readonly<Record<string, string>>, base = withAcme, services = web) =>
  rendered(services, base, routes);

test('a challenge is there by one command, and gone by another', () => {
  const [before, after] = [having({}), having({ [route]: target })];
  expect(plan(before, after)).toEqual({ steps: [`add map routes.map ${route} ${target}`], reload: [] });
  expect(plan(after, before)).toEqual({ steps: [`del map routes.map ${route}`], reload: [] });
});

test('a challenge needs no reload that a service needs', () => {
  const changed = { web: { head: 'backend web\n    retries 2\n', servers: {} } };
  const planned = plan(having({}), having({ [route]: target, 'shop.example.com/': 'web' }, withAcme, changed));
  expect(planned).toEqual({ steps: [`add map routes.map ${route} ${target}`], reload: ['backend'] });
});

test('a challenge waits for a reload where HAProxy does not have the backend that answers', () => {
  expect(plan(having({}, baseText), having({ [route]: target }))).toEqual({ steps: [], reload: ['frame'] });
});

test('a challenge takes the route of a service, which gets it again', () => {
  const [own, challenged] = [having({ [route]: 'web' }), having({ [route]: target })];
  expect(plan(own, challenged).steps).toEqual([`set map routes.map ${route} ${target}`]);
  expect(plan(challenged, own).steps).toEqual([`set map routes.map ${route} web`]);
  // The route of a service that waits for a reload comes with that.
  const changed = { web: { head: 'backend web\n    retries 2\n', servers: {} } };
  const waiting = having({ [route]: 'web' }, withAcme, changed);
  expect(plan(challenged, waiting)).toEqual({ steps: [`del map routes.map ${route}`], reload: ['backend'] });
});

test('the route of a challenge is in the way of no other route', () => {
  const others = { 'shop.example.com/': 'web', '*.example.com/': 'web' };
  expect(plan(having({ [route]: target }), having({ [route]: target, ...others })).steps.toSorted()).toEqual([
    'add map routes.map *.example.com/ web',
    'add map routes.map shop.example.com/ web',
  ]);
  expect(plan(having({ [route]: target, ...others }), having({})).steps).toHaveLength(3);
  const gone = having({ [route]: target }, withAcme, { web: { servers: {} } });
  expect(withdrawable(gone, gone, { certain: true })).toEqual([]);
});

test('a name of a certificate is there or gone by a command, whatever else waits', () => {
  const changed = { web: { head: 'backend web\n    retries 2\n', servers: {} } };
  const [before, after] = [having({}), having({ 'CERTIFICATE:*.example.com': '_acme' }, withAcme, changed)];
  expect(plan(before, after).steps).toEqual(['add map routes.map CERTIFICATE:*.example.com _acme']);
  expect(plan(after, before).steps).toEqual(['del map routes.map CERTIFICATE:*.example.com']);
});
