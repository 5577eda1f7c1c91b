import { describe, expect, test } from 'vitest';
import { describeTransition, guardPolicy, id, instance, web } from '../../../test/support/guard-words.ts';
import type { GuardSettings } from '../../model/policy/guard.ts';
import { emptyGuard, type Guard, type GuardEvent, nextDeadline, stepGuard } from './guard.ts';

/** A guard and its clock, with its transitions in words. */
class Story {
  guard: Guard = emptyGuard(guardPolicy);
  readonly seen: string[] = [];
  #now = 0;

  at(now: number): this {
    this.#now = now;
    return this;
  }

  changed(
    present: number,
    what: { expired?: string[]; left?: string[]; put?: string[]; settings?: GuardSettings },
  ): this {
    const { expired = [], left = [], put = [], settings = {} } = what;
    return this.step({
      kind: 'changed',
      service: web,
      settings,
      present,
      expired: expired.map((name) => instance(name)),
      left: left.map(id),
      put: put.map(id),
    });
  }

  step(event: GuardEvent): this {
    const { guard, transitions } = stepGuard(this.guard, this.#now, event);
    this.guard = guard;
    for (const transition of transitions) this.seen.push(describeTransition(transition));
    return this;
  }

  get guarded(): string[] {
    return [...(this.guard.guarded.get(web)?.instances.keys() ?? [])];
  }
}

describe('the mass-loss guard', () => {
  test('guards expired instances when they are more than half of at least four', () => {
    const story = new Story().at(5).changed(2, { expired: ['a', 'b', 'c'] });
    expect(story.seen).toEqual(['guard a until 605', 'guard b until 605', 'guard c until 605']);
    expect(story.guard.guarded.get(web)).toMatchObject({ since: 5, until: 605, lost: 3, of: 5 });
  });

  test('believes the loss of half, and any loss of a service of three', () => {
    expect(new Story().changed(2, { expired: ['a', 'b'] }).guarded).toEqual([]);
    expect(new Story().changed(0, { expired: ['a', 'b', 'c'] }).guarded).toEqual([]);
  });

  test('guards a service that lost everything', () => {
    expect(new Story().changed(0, { expired: ['a', 'b', 'c', 'd'] }).guarded).toEqual(['a', 'b', 'c', 'd']);
  });

  test('adds up losses that come one by one within a window, and takes the first ones back', () => {
    const story = new Story();
    story
      .at(0)
      .changed(4, { expired: ['a'] })
      .at(4)
      .changed(3, { expired: ['b'] });
    expect(story.guarded).toEqual([]);
    story.at(8).changed(2, { expired: ['c'] });
    expect(story.guarded).toEqual(['a', 'b', 'c']);
  });

  test('believes losses that are further apart than a window', () => {
    const story = new Story();
    story
      .at(0)
      .changed(4, { expired: ['a'] })
      .at(6)
      .changed(3, { expired: ['b'] })
      .at(10)
      .changed(2, { expired: ['c'] });
    expect(story.guarded).toEqual([]);
  });

  test('neither guards nor counts instances that left gracefully', () => {
    expect(new Story().changed(0, { left: ['a', 'b', 'c', 'd', 'e'] }).guarded).toEqual([]);
    expect(new Story().changed(3, { left: ['a', 'b', 'c'], expired: ['d'] }).guarded).toEqual([]);
  });

  test('does not count an instance that came back', () => {
    const story = new Story();
    story
      .changed(4, { expired: ['a'] })
      .changed(5, { put: ['a'] })
      .changed(4, { expired: ['b'] })
      .changed(3, { expired: ['c'] });
    expect(story.guarded).toEqual([]);
  });

  test('guards instances that follow while it lasts, no longer than the first', () => {
    const story = new Story()
      .at(0)
      .changed(2, { expired: ['a', 'b', 'c'] })
      .at(300)
      .changed(1, { expired: ['d'] });
    expect(story.seen.at(-1)).toBe('guard d until 600');
    story.at(600).step({ kind: 'tick' });
    expect(story.guarded).toEqual([]);
    expect(story.seen.slice(-4)).toEqual(['a', 'b', 'c', 'd'].map((name) => `let go of ${name}: held-too-long`));
  });

  test('lets go of each that returns, fails its check or is removed, and ends with the last', () => {
    const story = new Story().changed(1, { expired: ['a', 'b', 'c'] });
    story.changed(2, { put: ['a'] });
    story.step({ kind: 'checked', service: web, id: id('b'), passes: true });
    story.step({ kind: 'checked', service: web, id: id('b'), passes: false });
    story.changed(2, { left: ['c'] });
    expect(story.seen.slice(3)).toEqual(['let go of a: returned', 'let go of b: check-failed', 'let go of c: left']);
    expect(story.guard.guarded.size).toBe(0);
  });

  test('lets go at an operator’s word, and does not guard again for the same losses', () => {
    const story = new Story()
      .changed(4, { expired: ['a', 'b', 'c', 'd', 'e'] })
      .step({ kind: 'release', service: web });
    expect(story.guarded).toEqual([]);
    expect(story.seen.at(-1)).toBe('let go of e: released');
    story.changed(3, { expired: ['f'] });
    expect(story.guarded).toEqual([]);
  });

  test('an operator’s word counts for losses that were not guarded, too', () => {
    const story = new Story().changed(4, { expired: ['a', 'b', 'c'] }).step({ kind: 'release', service: web });
    story.changed(2, { expired: ['d', 'e'] });
    expect(story.guarded).toEqual([]);
  });

  test('the deadline of an earlier guard does not end a later one', () => {
    const story = new Story()
      .at(0)
      .changed(2, { expired: ['a', 'b', 'c'] })
      .step({ kind: 'release', service: web });
    story
      .at(100)
      .changed(1, { expired: ['d', 'e', 'f'] })
      .at(600)
      .step({ kind: 'tick' });
    expect(story.guarded).toEqual(['d', 'e', 'f']);
    story.at(700).step({ kind: 'tick' });
    expect(story.guarded).toEqual([]);
  });

  test('asks to be woken when the first guard ends, and for nothing when there is nothing', () => {
    const story = new Story();
    expect(nextDeadline(story.guard)).toBeUndefined();
    story.at(3).changed(2, { expired: ['a', 'b', 'c'] });
    expect(nextDeadline(story.guard)).toBe(603);
    story.at(603).step({ kind: 'tick' });
    expect(nextDeadline(story.guard)).toBeUndefined();
    story.at(700).changed(5, { expired: ['a'] });
    expect(nextDeadline(story.guard)).toBe(710);
    story.at(710).step({ kind: 'tick' });
    expect(story.guard.losses.size).toBe(0);
    expect(nextDeadline(story.guard)).toBeUndefined();
  });

  test('a late tick lets go of everything that is due', () => {
    const story = new Story().at(0).changed(2, { expired: ['a', 'b', 'c'] });
    story.at(100_000).changed(5, { put: ['x'] });
    expect(story.guarded).toEqual([]);
  });
});

test('what the process before guarded is guarded for the rest of its time', () => {
  const story = new Story().at(5);
  story.step({
    kind: 'resume',
    service: web,
    lost: 3,
    of: 5,
    remainingMs: 100,
    instances: [instance('a'), instance('b')],
  });
  expect(story.seen).toEqual(['guard a until 105', 'guard b until 105']);
  expect(story.guard.guarded.get(web)).toMatchObject({ lost: 3, of: 5 });
  story.changed(4, { put: ['a'], expired: ['c'] });
  expect(story.guarded).toEqual(['b', 'c']);
  expect(nextDeadline(story.guard)).toBe(105);
  story.at(105).step({ kind: 'tick' });
  expect(story.guarded).toEqual([]);
});

describe('a service with settings of its own', () => {
  test('is judged by them, and by the balancer’s where it has none', () => {
    const settings = { share: 0.2, minimum: 2 };
    expect(new Story().changed(2, { expired: ['a'], settings }).guarded).toEqual(['a']);
    expect(new Story().changed(2, { expired: ['a'] }).guarded).toEqual([]);
    expect(new Story().changed(9, { expired: ['a'], settings }).guarded).toEqual([]);
    expect(new Story().changed(2, { expired: ['a', 'b', 'c'], settings: { minimum: 6 } }).guarded).toEqual([]);
  });

  test('is guarded as long as it says, and its losses belong together as long as it says', () => {
    const settings = { holdMs: 50, windowMs: 100 };
    const story = new Story().at(0).changed(2, { expired: ['a', 'b'], settings });
    story.at(90).changed(1, { expired: ['c'], settings });
    expect(story.seen).toEqual(['guard a until 140', 'guard b until 140', 'guard c until 140']);
    expect(nextDeadline(story.guard)).toBe(100);
    story.at(140).step({ kind: 'tick' });
    expect(story.guarded).toEqual([]);
  });

  test('is not guarded when it does not want to be, and let go of when it does not want to be any more', () => {
    expect(new Story().changed(0, { expired: ['a', 'b', 'c', 'd'], settings: { share: 1 } }).guarded).toEqual([]);
    const story = new Story().changed(0, { expired: ['a', 'b', 'c', 'd'] }).changed(0, { settings: { share: 1 } });
    expect(story.seen.slice(4)).toEqual(['a', 'b', 'c', 'd'].map((name) => `let go of ${name}: guard-off`));
  });

  test('keeps the end of a guard that has begun', () => {
    const story = new Story().at(0).changed(1, { expired: ['a', 'b', 'c'] });
    story.at(10).changed(0, { expired: ['d'], settings: { holdMs: 5 } });
    expect(story.seen.at(-1)).toBe('guard d until 600');
  });
});
