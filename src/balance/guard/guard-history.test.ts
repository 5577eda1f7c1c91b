import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeTransition, guardPolicy, id, instance, must, web } from '../../../test/support/guard-words.ts';
import { parseServiceName, type ServiceName } from '../../model/name.ts';
import type { GuardSettings } from '../../model/policy/guard.ts';
import { emptyGuard, type GuardEvent, nextDeadline, stepGuard } from './guard.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const services = [web, must(parseServiceName('shop'))];
const settings: readonly GuardSettings[] = [{}, { share: 0.3, minimum: 2, holdMs: 250, windowMs: 25 }];
const policyOf = (service: ServiceName) => ({ ...guardPolicy, ...settings[services.indexOf(service)] });

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

/** The registry with its whole history: the test compares the guard with it. */
class History {
  readonly present = new Set<string>();
  /** How each instance went last, and when. */
  readonly gone = new Map<string, { how: 'expired' | 'left'; at: number }>();
  /** Losses that are guarded or released already. */
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
    // An override takes out a guarded instance, which the registry does not have any more.
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

test('any history: a service is guarded exactly when it should be, and no other instance is', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      let guard = emptyGuard(guardPolicy);
      let now = 0;
      const histories = services.map(() => new History());
      // The guarded instances by the transitions alone, as the balancer knows them.
      const guarded = services.map(() => new Map<string, { since: number; until: number }>());
      for (const what of acts) {
        now += what.afterMs;
        const service = services[what.service] ?? web;
        const history = histories[what.service] ?? new History();
        const isGuarded = () => guard.guarded.has(service);
        // Guards that end with time end before the act.
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
        const wasGuarded = timed.guard.guarded.has(service);
        const step = stepGuard(guard, now, event);
        // A tick before the act changes nothing.
        const late = stepGuard(timed.guard, now, event);
        expect([...timed.transitions, ...late.transitions].map(describeTransition)).toEqual(
          step.transitions.map(describeTransition),
        );
        expect(late.guard.guarded.toJS()).toEqual(step.guard.guarded.toJS());
        guard = step.guard;

        for (const transition of step.transitions) {
          const known = guarded[services.indexOf(transition.service)];
          if (transition.kind === 'guarded') known?.set(transition.instance.id, transition);
          else expect(known?.delete(transition.id)).toBe(true);
        }
        for (const [index, one] of services.entries()) {
          expect([...(guarded[index]?.keys() ?? [])].sort()).toEqual(
            [...(guard.guarded.get(one)?.instances.keys() ?? [])].sort(),
          );
          for (const [name, { since, until }] of guarded[index] ?? []) {
            expect(histories[index]?.present.has(name)).toBe(false);
            expect(histories[index]?.gone.get(name)?.how).toBe('expired');
            expect(until).toBe(since + policyOf(one).holdMs);
            expect(until).toBeGreaterThan(now);
          }
        }

        if (what.kind === 'expire' && event.kind === 'changed' && event.expired.length > 0 && !wasGuarded) {
          const { share, minimum, windowMs } = policyOf(service);
          const lost = history.lostInWindow(now, windowMs);
          const of = history.present.size + lost.length;
          expect(isGuarded()).toBe(of >= minimum && lost.length > share * of);
          if (isGuarded()) expect([...(guarded[what.service]?.keys() ?? [])].sort()).toEqual(lost.sort());
        } else if (!wasGuarded) expect(isGuarded()).toBe(false);
        if (what.kind === 'release') expect(isGuarded()).toBe(false);
        if (what.kind === 'check' && !what.passes) expect(guarded[what.service]?.has(what.name)).toBe(false);
        if (isGuarded()) history.judged();

        const deadline = nextDeadline(guard);
        if (deadline === undefined) expect(guard.guarded.size + guard.losses.size).toBe(0);
        else expect(deadline).toBeGreaterThan(now);
      }
    }),
    { numRuns: 1000 },
  );
});
