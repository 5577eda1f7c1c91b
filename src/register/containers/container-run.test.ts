import { describe, expect, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import type { Container, EngineEvent } from '../../engine/container.ts';
import { afterEvent, afterInspection, type SeenContainer, type Stage } from './container-run.ts';

const started = '2026-01-01T00:00:10.000Z';
const at = (second: number): string => String((Date.parse('2026-01-01T00:00:00Z') + second * 1000) * 1e6);

const event = (action: string, signal?: number, second = 20): EngineEvent => ({
  action,
  container: 'f00d',
  signal,
  exitCode: undefined,
  health: undefined,
  timeNano: at(second),
});

const seen = (stage: Stage, container: Partial<Container> = {}): SeenContainer => ({
  container: containerOf({ startedAt: started, ...container }),
  stage,
});

const TERM = 15;
const KILL = 9;
const HUP = 1;
const URG = 23;

describe('an event', () => {
  test.each([
    ['SIGTERM ends a container', seen('up'), event('kill', TERM), 'ending'],
    ['SIGKILL ends a container', seen('up'), event('kill', KILL), 'ending'],
    ['its own stop signal ends a container', seen('up', { stopSignal: 3 }), event('kill', 3), 'ending'],
    ['another signal is a message to the application', seen('up'), event('kill', HUP), 'up'],
    ['SIGURG is one too, unless it is the stop signal', seen('up'), event('kill', URG), 'up'],
    ['SIGURG as the stop signal announces the stop', seen('up', { stopSignal: URG }), event('kill', URG), 'leaving'],
    ['the SIGTERM of the agent changes nothing', seen('left', { stopSignal: URG }), event('kill', TERM), 'left'],
    ['SIGTERM ends a container that leaves', seen('leaving', { stopSignal: URG }), event('kill', TERM), 'ending'],
    ['a signal that the engine does not name is left to the inspection', seen('up'), event('kill'), 'up'],
    ['a crash ends a container', seen('up'), event('die'), 'ending'],
    ['a crash ends a container that leaves', seen('leaving'), event('die'), 'ending'],
    ['an end from before the present run changes nothing', seen('up'), event('die', undefined, 9), 'up'],
    ['a passed check changes nothing by itself', seen('up'), event('health_status'), 'up'],
  ] as const)('%s', (_, before, what, stage) => {
    expect(afterEvent(before, what).stage).toBe(stage);
  });

  test('a paused container is paused at once', () => {
    expect(afterEvent(seen('up'), event('pause'))).toMatchObject({ stage: 'up', container: { phase: 'paused' } });
  });
});

describe('an inspection', () => {
  const container = (fields: Partial<Container> = {}) => containerOf({ startedAt: started, ...fields });

  test('does not bring a run back that ends', () => {
    expect(afterInspection(seen('ending'), container())?.stage).toBe('ending');
    expect(afterInspection(seen('left'), container())?.stage).toBe('left');
  });

  test('begins the next run after a restart', () => {
    expect(afterInspection(seen('ending'), container({ startedAt: '2026-01-01T00:00:30Z' }))?.stage).toBe('up');
  });

  test.each([
    ['that was asked to leave leaves', URG, [event('kill', URG)], 'leaving'],
    ['that was asked to end ends', TERM, [event('kill', TERM)], 'ending'],
    ['that was asked to leave, and then to end, ends', URG, [event('kill', URG), event('kill', TERM, 21)], 'ending'],
    ['that got a message goes on', TERM, [event('kill', HUP)], 'up'],
    ['whose former run was asked to end goes on', TERM, [event('kill', TERM, 9)], 'up'],
  ] as const)('of a run %s, when the agent first sees it', (_, stopSignal, kills, stage) => {
    expect(afterInspection(undefined, container({ stopSignal }), kills)?.stage).toBe(stage);
    const former = seen('ending', { startedAt: '2026-01-01T00:00:00Z', stopSignal });
    expect(afterInspection(former, container({ stopSignal }), kills)?.stage).toBe(stage);
  });

  test('of a container that left does not begin again with its kills', () => {
    const left = seen('left', { stopSignal: URG });
    expect(afterInspection(left, container({ stopSignal: URG }), [event('kill', URG)])?.stage).toBe('left');
  });

  test('of a container that is over forgets it', () => {
    expect(afterInspection(seen('up'), container({ phase: 'over' }))).toBeUndefined();
  });

  test('tells of a stop where no event does', () => {
    expect(afterInspection(seen('up'), container({ phase: 'stopping' }))?.stage).toBe('ending');
    expect(afterInspection(seen('up'), container({ phase: 'stopping', stopSignal: URG }))?.stage).toBe('leaving');
    expect(afterInspection(seen('left'), container({ phase: 'stopping', stopSignal: URG }))?.stage).toBe('left');
  });
});
