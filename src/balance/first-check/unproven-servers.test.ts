import { Map as PersistentMap } from 'immutable';
import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { foundDown, UnprovenServers } from './unproven-servers.ts';

const [web, a] = ['web' as ServiceName, 'a' as InstanceId];
const server = { host: '127.0.0.1', port: 1, weight: 1, disabled: false, drained: false, up: false };

function unprovenServers() {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let requested = 0;
  let states: RunningState['servers'] = new Map([[web, new Map([[a, server]])]]);
  const unproven = new UnprovenServers({
    serverStates: async () => {
      requested += 1;
      return states;
    },
    onChange: () => undefined,
    logger: pino({ level: 'silent' }),
  });
  onTestFinished(() => unproven.close());
  return {
    unproven,
    requested: () => requested,
    passes: () => {
      states = new Map([[web, new Map([[a, { ...server, up: true }]])]]);
    },
  };
}

test('a server that passes a check of HAProxy after a minute is known to get requests within 2 s', async () => {
  const { unproven, requested, passes } = unprovenServers();
  unproven.add(web, a);
  unproven.leave(web, a, 'failed');
  await vi.advanceTimersByTimeAsync(61_000);
  expect([...unproven.names]).toEqual([[web, [a]]]);
  passes();
  await vi.advanceTimersByTimeAsync(2000);
  expect([...unproven.names]).toEqual([]);
  const before = requested();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(requested()).toBe(before);
});

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
