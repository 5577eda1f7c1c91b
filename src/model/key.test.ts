import { expect, it } from 'vitest';
import { areaOfKey, instanceKey, overrideKey, parseKey, policyKey, serviceOfKey } from './key.ts';
import type { InstanceId, ServiceName } from './name.ts';

const [web, a] = ['web' as ServiceName, 'a' as InstanceId];

it('the parser of keys reads the keys that pointsman writes', () => {
  expect(parseKey(instanceKey(web, a))).toMatchObject({ value: { kind: 'instance', service: web, id: a } });
  expect(parseKey(policyKey(web))).toMatchObject({ value: { kind: 'policy', service: web } });
  expect(parseKey(overrideKey(web, '*'))).toMatchObject({ value: { kind: 'override', service: web, scope: '*' } });
  expect(parseKey(overrideKey(web, a))).toMatchObject({ value: { kind: 'override', service: web, scope: a } });
});

it.each([
  ['instances/web/a', 'instances', 'web'],
  ['services/web', 'services', 'web'],
  ['services/', 'services', ''],
  ['services', 'services', undefined],
  ['', '', undefined],
])('the key %j is of the area %j and the service %j', (key, area, service) => {
  expect(areaOfKey(key)).toBe(area);
  expect(serviceOfKey(key)).toBe(service);
});
