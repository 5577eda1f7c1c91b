import { expect, test } from 'vitest';
import { parseServiceName } from '../../model/name.ts';
import { type Asked, mistakenServices, policiesFirst, withAnnounced } from './policies-first.ts';
import type { Want } from './wanted-instances.ts';

const service = (name: string) => {
  const parsed = parseServiceName(name);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};
const [web, admin] = [service('web'), service('admin')];
const asked = (policy: string | undefined): Asked => ({ service: web, policy, container: 'web-1', created: 1 });
const want = (how: Want['how'], of = web) =>
  ({ how, container: 'id-1', declared: { instance: { service: of } } }) as unknown as Want;
const none: ReadonlyMap<string, Want> = new Map();
const asks = new Map([['id-1', [asked('{}')]]]);

test('an instance waits until the policy of its service is settled', () => {
  const wanted = new Map([['web/a', want('announce')]]);
  expect([...policiesFirst(wanted, none, asks, () => false)]).toEqual([]);
  expect(policiesFirst(wanted, none, asks, (one) => one === web)).toEqual(wanted);
});

test('an instance that is announced, that leaves, or whose labels ask for no policy of its service waits for none', () => {
  const wanted = new Map([['web/a', want('announce')]]);
  expect(policiesFirst(wanted, wanted, asks, () => false)).toEqual(wanted);
  const others = new Map([
    ['web/b', want('retire')],
    ['web/c', want('drop')],
    ['admin/a', want('announce', admin)],
  ]);
  expect(policiesFirst(others, none, asks, () => false)).toEqual(others);
  expect(policiesFirst(wanted, none, new Map(), () => false)).toEqual(wanted);
});

test('a container counts as announced by an instance of the service that its policy is for', () => {
  const announcedBy = (of: typeof web, announced: boolean) =>
    withAnnounced([asked('{}')], [{ service: of, announced }]).map((one) => one.announced);
  expect([announcedBy(web, true), announcedBy(web, false), announcedBy(admin, true)]).toEqual([
    [true],
    [false],
    [false],
  ]);
});

test('a service with a mistake in its policy is one whose instance is not announced', () => {
  expect([...mistakenServices([asked(undefined), { ...asked('{}'), service: admin }])]).toEqual([web]);
});
