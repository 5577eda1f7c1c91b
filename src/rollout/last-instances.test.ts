import { expect, test } from 'vitest';
import { containerMeta } from '../engine/container-mark.ts';
import { parseInstance } from '../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { lastInstancesOf } from './last-instances.ts';

const accept = <T>(
  parsed: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string },
): T => {
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.reason);
};
const [web, admin] = [accept(parseServiceName('web')), accept(parseServiceName('admin'))];
const instance = (container: string, more: object = {}) =>
  accept(parseInstance(web, accept(parseInstanceId(container)), JSON.stringify({ address: '10.0.0.1:80', meta: { [containerMeta]: container }, ...more }))); // biome-ignore format: one line
const container = (id: string) => ({ id, services: [web, admin] });

/** The services that nobody serves after the stop of `stopped`, with these instances of each. */
const last = (instances: readonly ReturnType<typeof instance>[], ...stopped: readonly string[]) =>
  lastInstancesOf(stopped.map(container), () => instances);

test('a service has no instance left when all that take requests are stopped', () => {
  expect(last([instance('a')], 'a')).toEqual([web, admin]);
  expect(last([instance('a'), instance('b')], 'a')).toEqual([]);
  expect(last([instance('a'), instance('b')], 'a', 'b')).toEqual([web, admin]);
});

test('an instance that takes no requests does not count', () => {
  expect(last([instance('a'), instance('b', { weight: 0 })], 'a')).toEqual([web, admin]);
  expect(last([instance('a'), instance('b', { state: 'maintenance' })], 'a')).toEqual([web, admin]);
  expect(last([instance('a', { state: 'draining' })], 'a')).toEqual([]);
});
