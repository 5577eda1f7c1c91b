import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Instance } from '../../model/instance.ts';
import { parseInstance } from '../../model/instance.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from '../../model/name.ts';
import type { Parsed } from '../../model/parsed.ts';
import type { GuardSettings } from '../../model/policy/guard.ts';
import { emptyGuard, type Guard, type GuardEvent, type GuardTransition, nextDeadline, stepGuard } from './guard.ts';

const policy = { share: 0.5, minimum: 4, holdMs: 600, windowMs: 10 };

function must<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const web = must(parseServiceName('web'));
const id = (name: string): InstanceId => must(parseInstanceId(name));
const instance = (name: string, service: ServiceName = web): Instance =>
  must(parseInstance(service, id(name), '10.0.0.1:80'));

/** A guard and its clock, told in words. */
class Story {
  guard: Guard = emptyGuard(policy);
  readonly told: string[] = [];
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
    for (const transition of transitions) this.told.push(tell(transition));
    return this;
  }

  get held(): string[] {
    return [...(this.guard.guarded.get(web)?.instances.keys() ?? [])];
  }
}

function tell(transition: GuardTransition): string {
  switch (transition.kind) {
    case 'guarded':
      return `hold ${transition.instance.id} until ${transition.until}`;
    case 'let-go':
      return `let go of ${transition.id}: ${transition.reason}`;
  }
}

describe('the mass-loss guard', () => {
  test('holds what expired when it is more than half of at least four', () => {
    const story = new Story().at(5).changed(2, { expired: ['a', 'b', 'c'] });
    expect(story.told).toEqual(['hold a until 605', 'hold b until 605', 'hold c until 605']);
    expect(story.guard.guarded.get(web)).toMatchObject({ since: 5, until: 605, lost: 3, of: 5 });
  });

  test('believes the loss of half, and any loss of a service of three', () => {
    expect(new Story().changed(2, { expired: ['a', 'b'] }).held).toEqual([]);
    expect(new Story().changed(0, { expired: ['a', 'b', 'c'] }).held).toEqual([]);
  });

  test('holds a service that lost everything', () => {
    expect(new Story().changed(0, { expired: ['a', 'b', 'c', 'd'] }).held).toEqual(['a', 'b', 'c', 'd']);
  });

  test('adds up losses that come one by one within a window, and takes the first ones back', () => {
    const story = new Story();
    story
      .at(0)
      .changed(4, { expired: ['a'] })
      .at(4)
      .changed(3, { expired: ['b'] });
    expect(story.held).toEqual([]);
    story.at(8).changed(2, { expired: ['c'] });
    expect(story.held).toEqual(['a', 'b', 'c']);
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
    expect(story.held).toEqual([]);
  });

  test('never holds and never counts who left gracefully', () => {
    expect(new Story().changed(0, { left: ['a', 'b', 'c', 'd', 'e'] }).held).toEqual([]);
    expect(new Story().changed(3, { left: ['a', 'b', 'c'], expired: ['d'] }).held).toEqual([]);
  });

  test('does not count an instance that came back', () => {
    const story = new Story();
    story
      .changed(4, { expired: ['a'] })
      .changed(5, { put: ['a'] })
      .changed(4, { expired: ['b'] })
      .changed(3, { expired: ['c'] });
    expect(story.held).toEqual([]);
  });

  test('holds those that follow while it lasts, no longer than the first', () => {
    const story = new Story()
      .at(0)
      .changed(2, { expired: ['a', 'b', 'c'] })
      .at(300)
      .changed(1, { expired: ['d'] });
    expect(story.told.at(-1)).toBe('hold d until 600');
    story.at(600).step({ kind: 'tick' });
    expect(story.held).toEqual([]);
    expect(story.told.slice(-4)).toEqual(['a', 'b', 'c', 'd'].map((name) => `let go of ${name}: held-too-long`));
  });

  test('lets go of each that returns, fails its check or is removed, and ends with the last', () => {
    const story = new Story().changed(1, { expired: ['a', 'b', 'c'] });
    story.changed(2, { put: ['a'] });
    story.step({ kind: 'checked', service: web, id: id('b'), passes: true });
    story.step({ kind: 'checked', service: web, id: id('b'), passes: false });
    story.changed(2, { left: ['c'] });
    expect(story.told.slice(3)).toEqual(['let go of a: returned', 'let go of b: check-failed', 'let go of c: left']);
    expect(story.guard.guarded.size).toBe(0);
  });

  test('lets go at an operator’s word, and does not hold again for the same losses', () => {
    const story = new Story()
      .changed(4, { expired: ['a', 'b', 'c', 'd', 'e'] })
      .step({ kind: 'release', service: web });
    expect(story.held).toEqual([]);
    expect(story.told.at(-1)).toBe('let go of e: released');
    story.changed(3, { expired: ['f'] });
    expect(story.held).toEqual([]);
  });

  test('an operator’s word counts for losses that were not held, too', () => {
    const story = new Story().changed(4, { expired: ['a', 'b', 'c'] }).step({ kind: 'release', service: web });
    story.changed(2, { expired: ['d', 'e'] });
    expect(story.held).toEqual([]);
  });

  test('a later hold is not ended by the time of an earlier one', () => {
    const story = new Story()
      .at(0)
      .changed(2, { expired: ['a', 'b', 'c'] })
      .step({ kind: 'release', service: web });
    story
      .at(100)
      .changed(1, { expired: ['d', 'e', 'f'] })
      .at(600)
      .step({ kind: 'tick' });
    expect(story.held).toEqual(['d', 'e', 'f']);
    story.at(700).step({ kind: 'tick' });
    expect(story.held).toEqual([]);
  });

  test('asks to be woken when the first hold ends, and for nothing when there is nothing', () => {
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
    expect(story.held).toEqual([]);
  });
});

test('what the process before held is held for the rest of its time', () => {
  const story = new Story().at(5);
  story.step({
    kind: 'resume',
    service: web,
    lost: 3,
    of: 5,
    remainingMs: 100,
    instances: [instance('a'), instance('b')],
  });
  expect(story.told).toEqual(['hold a until 105', 'hold b until 105']);
  expect(story.guard.guarded.get(web)).toMatchObject({ lost: 3, of: 5 });
  story.changed(4, { put: ['a'], expired: ['c'] });
  expect(story.held).toEqual(['b', 'c']);
  expect(nextDeadline(story.guard)).toBe(105);
  story.at(105).step({ kind: 'tick' });
  expect(story.held).toEqual([]);
});

describe('a service with settings of its own', () => {
  test('is judged by them, and by the balancer’s where it has none', () => {
    const settings = { share: 0.2, minimum: 2 };
    expect(new Story().changed(2, { expired: ['a'], settings }).held).toEqual(['a']);
    expect(new Story().changed(2, { expired: ['a'] }).held).toEqual([]);
    expect(new Story().changed(9, { expired: ['a'], settings }).held).toEqual([]);
    expect(new Story().changed(2, { expired: ['a', 'b', 'c'], settings: { minimum: 6 } }).held).toEqual([]);
  });

  test('is held as long as it says, and its losses belong together as long as it says', () => {
    const settings = { holdMs: 50, windowMs: 100 };
    const story = new Story().at(0).changed(2, { expired: ['a', 'b'], settings });
    story.at(90).changed(1, { expired: ['c'], settings });
    expect(story.told).toEqual(['hold a until 140', 'hold b until 140', 'hold c until 140']);
    expect(nextDeadline(story.guard)).toBe(100);
    story.at(140).step({ kind: 'tick' });
    expect(story.held).toEqual([]);
  });

  test('is not held when it does not want to be, and let go of when it does not want to be any more', () => {
    expect(new Story().changed(0, { expired: ['a', 'b', 'c', 'd'], settings: { share: 1 } }).held).toEqual([]);
    const story = new Story().changed(0, { expired: ['a', 'b', 'c', 'd'] }).changed(0, { settings: { share: 1 } });
    expect(story.told.slice(4)).toEqual(['a', 'b', 'c', 'd'].map((name) => `let go of ${name}: guard-off`));
  });

  test('keeps the end of a hold that has begun', () => {
    const story = new Story().at(0).changed(1, { expired: ['a', 'b', 'c'] });
    story.at(10).changed(0, { expired: ['d'], settings: { holdMs: 5 } });
    expect(story.told.at(-1)).toBe('hold d until 600');
  });
});

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const services = [web, must(parseServiceName('shop'))];
const settings: readonly GuardSettings[] = [{}, { share: 0.3, minimum: 2, holdMs: 250, windowMs: 25 }];
const policyOf = (service: ServiceName) => ({ ...policy, ...settings[services.indexOf(service)] });

type Act = { service: number; afterMs: number } & (
  | { kind: 'put' | 'leave' | 'expire'; names: string[] }
  | { kind: 'check'; name: string; passes: boolean }
  | { kind: 'release' | 'tick' }
);

const some = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 5 });
const base = {
  service: fc.nat(1),
  afterMs: fc.oneof({ weight: 6, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(700) }),
};
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ ...base, kind: fc.constant('put' as const), names: some }) },
  { weight: 5, arbitrary: fc.record({ ...base, kind: fc.constant('expire' as const), names: some }) },
  { weight: 1, arbitrary: fc.record({ ...base, kind: fc.constant('leave' as const), names: some }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...base,
      kind: fc.constant('check' as const),
      name: fc.constantFrom(...names),
      passes: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...base, kind: fc.constantFrom('release' as const, 'tick' as const) }) },
);

/** The registry and what happened in it, kept whole: what the guard says is compared with a look at all of history. */
class History {
  readonly present = new Set<string>();
  /** How each instance went last, and when. */
  readonly gone = new Map<string, { how: 'expired' | 'left'; at: number }>();
  /** Losses up to here were judged already: held, or released. */
  judgedUntil = new Set<string>();

  /** The event of this act, after it was done. */
  apply(what: Extract<Act, { names: string[] }>, service: ServiceName, now: number): GuardEvent {
    const there = what.names.filter((name) => this.present.has(name));
    const put = what.kind === 'put' ? what.names : [];
    for (const name of put) {
      this.present.add(name);
      this.gone.delete(name);
      this.judgedUntil.delete(name);
    }
    // Leaving is also said of what is gone already: an override on a held instance.
    const left = what.kind === 'leave' ? what.names : [];
    const expired = what.kind === 'expire' ? there : [];
    for (const name of [...left, ...expired]) {
      this.present.delete(name);
      this.judgedUntil.delete(name);
      this.gone.set(name, { how: what.kind === 'leave' ? 'left' : 'expired', at: now });
    }
    return {
      kind: 'changed',
      service,
      settings: settings[services.indexOf(service)] ?? {},
      present: this.present.size,
      expired: expired.map((name) => instance(name, service)),
      left: left.map(id),
      put: put.map(id),
    };
  }

  lostInWindow(now: number, windowMs: number): string[] {
    return [...this.gone]
      .filter(([name, { how, at }]) => how === 'expired' && at + windowMs > now && !this.judgedUntil.has(name))
      .map(([name]) => name);
  }

  judged(): void {
    for (const name of this.gone.keys()) this.judgedUntil.add(name);
  }
}

test('any history: holds begin exactly when they should, and nothing is held that should not be', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      let guard = emptyGuard(policy);
      let now = 0;
      const histories = services.map(() => new History());
      // What the transitions alone say, as the balancer knows it.
      const held = services.map(() => new Map<string, { since: number; until: number }>());
      for (const what of acts) {
        now += what.afterMs;
        const service = services[what.service] ?? web;
        const history = histories[what.service] ?? new History();
        const holding = () => guard.guarded.has(service);
        // Holds that ended with time alone end before the act is judged.
        const timed = stepGuard(guard, now, { kind: 'tick' });
        const event: GuardEvent =
          'names' in what
            ? history.apply(what, service, now)
            : what.kind === 'check'
              ? { kind: 'checked', service, id: id(what.name), passes: what.passes }
              : what.kind === 'release'
                ? { kind: 'release', service }
                : { kind: 'tick' };
        if (what.kind === 'release') history.judged();
        const wasHolding = timed.guard.guarded.has(service);
        const step = stepGuard(guard, now, event);
        // An explicit tick before changes nothing: whoever ticks late is not told anything else.
        const late = stepGuard(timed.guard, now, event);
        expect([...timed.transitions, ...late.transitions].map(tell)).toEqual(step.transitions.map(tell));
        expect(late.guard.guarded.toJS()).toEqual(step.guard.guarded.toJS());
        guard = step.guard;

        for (const transition of step.transitions) {
          const known = held[services.indexOf(transition.service)];
          if (transition.kind === 'guarded') known?.set(transition.instance.id, transition);
          else expect(known?.delete(transition.id)).toBe(true);
        }
        for (const [index, one] of services.entries()) {
          expect([...(held[index]?.keys() ?? [])].sort()).toEqual(
            [...(guard.guarded.get(one)?.instances.keys() ?? [])].sort(),
          );
          for (const [name, { since, until }] of held[index] ?? []) {
            expect(histories[index]?.present.has(name)).toBe(false);
            expect(histories[index]?.gone.get(name)?.how).toBe('expired');
            expect(until).toBe(since + policyOf(one).holdMs);
            expect(until).toBeGreaterThan(now);
          }
        }

        if (what.kind === 'expire' && event.kind === 'changed' && event.expired.length > 0 && !wasHolding) {
          const { share, minimum, windowMs } = policyOf(service);
          const lost = history.lostInWindow(now, windowMs);
          const of = history.present.size + lost.length;
          expect(holding()).toBe(of >= minimum && lost.length > share * of);
          if (holding()) expect([...(held[what.service]?.keys() ?? [])].sort()).toEqual(lost.sort());
        } else if (!wasHolding) expect(holding()).toBe(false);
        if (what.kind === 'release') expect(holding()).toBe(false);
        if (what.kind === 'check' && !what.passes) expect(held[what.service]?.has(what.name)).toBe(false);
        if (holding()) history.judged();

        const deadline = nextDeadline(guard);
        if (deadline === undefined) expect(guard.guarded.size + guard.losses.size).toBe(0);
        else expect(deadline).toBeGreaterThan(now);
      }
    }),
    { numRuns: 1000 },
  );
});
