import { describe, expect, test } from 'vitest';
import { readContainer, readEvent, readList } from './read-answer.ts';

const inspected = {
  Id: 'f00d',
  Name: '/web-1',
  Created: '2026-01-02T03:04:05.678901234Z',
  State: {
    Status: 'running',
    Running: true,
    Paused: false,
    Pid: 4711,
    StartedAt: '2026-01-02T03:04:06Z',
    Health: { Status: 'starting' },
  },
  Config: { Labels: { a: 'b' }, ExposedPorts: { '8080/tcp': {}, '53/udp': {} }, StopSignal: 'SIGURG', StopTimeout: 90 },
  HostConfig: { NetworkMode: 'shop_default' },
  NetworkSettings: {
    Ports: {
      '8080/tcp': [{ HostIp: '0.0.0.0', HostPort: '18080' }],
      '53/udp': [{ HostIp: '', HostPort: '53' }],
      '9/tcp': null,
    },
    Networks: { shop_default: { IPAddress: '172.18.0.2', GlobalIPv6Address: '' } },
  },
};

describe('an inspection', () => {
  test('is read with its ports, networks, health and stop signal', () => {
    expect(readContainer(inspected)).toEqual({
      id: 'f00d',
      name: 'web-1',
      labels: { a: 'b' },
      phase: 'running',
      health: 'starting',
      pid: 4711,
      startedAt: '2026-01-02T03:04:06Z',
      createdAt: Date.parse('2026-01-02T03:04:05.678Z'),
      stopSignal: 23,
      stopTimeoutMs: 90_000,
      networkMode: 'shop_default',
      exposed: [9, 8080],
      published: [{ port: 8080, hostIp: '0.0.0.0', hostPort: 18080 }],
      networks: [{ name: 'shop_default', ipv4: '172.18.0.2', ipv6: undefined }],
    });
  });

  test('may leave out or set to null whatever is empty', () => {
    const bare = { Id: 'f00d', State: { Status: 'exited', Health: null }, Config: { Labels: null, StopSignal: '' } };
    expect(readContainer(bare)).toMatchObject({
      labels: {},
      phase: 'over',
      health: 'none',
      stopSignal: 15,
      stopTimeoutMs: 10_000,
      exposed: [],
      published: [],
      networks: [],
    });
  });

  test.each([
    [{ Status: 'running', Running: true }, 'running'],
    [{ Status: 'paused', Running: true, Paused: true }, 'paused'],
    [{ Status: 'stopping', Running: false }, 'stopping'],
    [{ Status: 'restarting', Running: true }, 'over'],
    [{ Status: 'exited', Running: false }, 'over'],
  ])('of the state %j has a container that is %s', (State, phase) => {
    expect(readContainer({ ...inspected, State }).phase).toBe(phase);
  });

  test('of something else is refused', () => {
    expect(() => readContainer({ message: 'no such container' })).toThrow();
    expect(() => readList({})).toThrow();
  });
});

describe('an event', () => {
  const event = (Action: string, Attributes: object = {}, Type = 'container') =>
    readEvent(JSON.stringify({ Type, Action, Actor: { ID: 'f00d', Attributes }, timeNano: 5_000_000_000 }));

  test('of a signal has its number', () => {
    expect(event('kill', { signal: '23' })).toMatchObject({ action: 'kill', container: 'f00d', signal: 23 });
  });

  test('of podman has no signal', () => {
    expect(event('kill')).toMatchObject({ action: 'kill', signal: undefined });
  });

  test('of the end of a container has one name on Docker and podman', () => {
    expect(event('died', { containerExitCode: '1' })).toMatchObject({ action: 'die', exitCode: 1 });
    expect(event('die', { exitCode: '1' })).toMatchObject({ action: 'die', exitCode: 1 });
  });

  test('of a network is about the container that it names', () => {
    expect(event('connect', { container: 'beef' }, 'network')).toMatchObject({ action: 'connect', container: 'beef' });
  });

  test.each(['', 'no JSON', '{}', '{"Type":"container","Action":"start"}'])('that is %j is passed over', (line) => {
    expect(readEvent(line)).toBeUndefined();
  });
});
