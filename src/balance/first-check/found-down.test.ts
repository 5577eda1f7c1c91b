import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { foundDown } from './found-down.ts';

const web = 'web' as ServiceName;

test('of the servers of a worker from before, those count as unproven that are enabled, checked and down', () => {
  const lines: readonly (readonly [InstanceId, string])[] = [
    ['up' as InstanceId, 'server up 127.0.0.1:1 weight 100 check'],
    ['down' as InstanceId, 'server down 127.0.0.1:2 weight 100 check inter 2000ms'],
    ['drains' as InstanceId, 'server drains 127.0.0.1:3 weight 100 check disabled'],
    ['unchecked' as InstanceId, 'server unchecked 127.0.0.1:4 weight 100'],
    ['missing' as InstanceId, 'server missing 127.0.0.1:5 weight 100 check'],
  ];
  const backend = { name: web, section: { before: '', indent: '', after: '' }, servers: PersistentMap(lines) };
  const states = new Map(
    lines
      .filter(([id]) => id !== 'missing')
      .map(([id]) => [
        id as string,
        { host: '127.0.0.1', port: 1, weight: 100, disabled: id === 'drains', drained: false, up: id === 'up' },
      ]),
  );
  const served = { ...nothingRendered, backends: nothingRendered.backends.set(web, backend) };
  expect([...foundDown(served, new Map([[web as string, states]]))]).toEqual([[web, ['down']]]);
  expect([...foundDown(served, new Map())]).toEqual([]);
});
