import { expect, test } from 'vitest';
import type { EngineEvent } from '../../engine/container.ts';
import { KnownKills } from './known-kills.ts';

const event = (action: string, signal: number | undefined, timeNano: string): EngineEvent => ({
  ...{ action, container: 'f00d', signal, exitCode: undefined, health: undefined, timeNano },
});

test('of the kills of a run the last of each signal is known', () => {
  const kills = new KnownKills();
  for (const [signal, at] of [
    [1, '10'],
    [15, '11'],
    [1, '12'],
    [1, '9'],
  ] as const) {
    kills.add(event('kill', signal, at));
  }
  expect(kills.of('f00d').map(({ signal, timeNano }) => [signal, timeNano])).toEqual([
    [1, '12'],
    [15, '11'],
  ]);
  expect(kills.of('beef')).toEqual([]);
});

test('a run that is over has no kills, and other events change nothing', () => {
  const kills = new KnownKills();
  kills.add(event('kill', 15, '10'));
  kills.add(event('health_status', undefined, '11'));
  expect(kills.of('f00d')).toHaveLength(1);
  kills.add(event('die', undefined, '12'));
  expect(kills.of('f00d')).toEqual([]);
});
