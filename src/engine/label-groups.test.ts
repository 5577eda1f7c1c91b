import { describe, expect, test } from 'vitest';
import { labelGroups } from './label-groups.ts';

const groupsOf = (labels: Readonly<Record<string, string>>) =>
  labelGroups(labels).map(({ service, fields }) => ({ service, fields: Object.fromEntries(fields) }));

describe('the labels of a container', () => {
  test('belong to the service of pointsman.service', () => {
    const labels = { 'pointsman.service': 'web', 'pointsman.port': '80', 'pointsman.meta.team': 'blue', other: 'x' };
    expect(groupsOf(labels)).toEqual([{ service: 'web', fields: { service: 'web', port: '80', 'meta.team': 'blue' } }]);
  });

  test.each(['', 'true'])('belong to the service of Compose where pointsman.service is "%s"', (value) => {
    const labels = { 'pointsman.service': value, 'com.docker.compose.service': 'shop' };
    expect(groupsOf(labels)).toEqual([{ service: 'shop', fields: { service: value } }]);
  });

  test('belong to several services by name', () => {
    const labels = {
      'pointsman.web.port': '80',
      'pointsman.admin.port': '81',
      'pointsman.admin.service': 'shop-admin',
    };
    expect(groupsOf(labels)).toEqual([
      { service: 'web', fields: { port: '80' } },
      { service: 'shop-admin', fields: { port: '81', service: 'shop-admin' } },
    ]);
  });

  test('say nothing without a service', () => {
    expect(groupsOf({ 'pointsman.port': '80', 'com.docker.compose.service': 'shop' })).toEqual([]);
  });
});
