import { describe, expect, test } from 'vitest';
import type { RouteTarget } from '../model/route-target.ts';
import type { Step } from './step.ts';
import { restricts, statesAfter, statesIn } from './worker-marks.ts';

const add = (route: string): Step => ({ kind: 'add-route', route, target: 'x' as RouteTarget });
const remove = (route: string): Step => ({ kind: 'remove-route', route });

describe('the states of a worker', () => {
  test('are the keys of its map that hold one', () => {
    const map = new Map([
      ['web/', 'web'],
      ['SERVICE:web', 'maintenance'],
    ]);
    expect([...statesIn(map)]).toEqual(['SERVICE:web']);
  });

  test('come and go with the steps, in their order', () => {
    const none = new Set<string>();
    expect(statesAfter(none, [add('web/'), remove('api/')])).toBe(none);
    expect([...statesAfter(none, [remove('SERVICE:web'), add('SERVICE:web')])]).toEqual(['SERVICE:web']);
    expect([...statesAfter(new Set(['SERVICE:web']), [add('SERVICE:web'), remove('SERVICE:web')])]).toEqual([]);
  });

  test('are restrictions where they are added or changed', () => {
    expect(restricts(add('SERVICE:web'))).toBe(true);
    expect(restricts({ kind: 'set-route', route: 'SERVICE:web', target: 'maintenance' as RouteTarget })).toBe(true);
    expect([remove('SERVICE:web'), add('web/')].map(restricts)).toEqual([false, false]);
  });
});
