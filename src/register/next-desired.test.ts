import { expect, test } from 'vitest';
import { type Health, nextHealth, untested } from './health.ts';
import { type AfterCheck, type DesiredState, nextDesired, type WhenUnhealthy } from './next-desired.ts';
import { fails, passes } from './outcome.ts';

/** What follows each of these checks of an instance: `+` passes, `-` fails. It rises at 2 and falls at 2. */
function consequences(checks: string, unhealthy: WhenUnhealthy = 'withdraw'): readonly string[] {
  let health: Health = untested;
  let state: DesiredState = 'withdrawn';
  return [...checks].map((check) => {
    const before = health;
    const outcome = check === '+' ? passes : fails('refused');
    health = nextHealth(before, outcome.passes, { rise: 2, fall: 2 });
    const next: AfterCheck = nextDesired(state, unhealthy, { before, health, outcome });
    if ('state' in next) state = next.state;
    if (next.kind === 'healthy' && next.again) return 'healthy again';
    return 'state' in next ? `${next.kind}: ${next.state}` : next.kind;
  });
}

test('an instance is announced when it becomes healthy, and waits while its checks fail before', () => {
  expect(consequences('-+-++')).toEqual(['waiting', 'unchanged', 'waiting', 'unchanged', 'healthy: announced']);
});

test('an announced instance is withdrawn when it becomes unhealthy, waits, and is announced again', () => {
  const after = ['unchanged', 'unhealthy: withdrawn', 'waiting', 'unchanged', 'healthy again', 'unchanged'];
  expect(consequences('++---+++').slice(2)).toEqual(after);
});

test('an unhealthy instance drains instead by choice', () => {
  expect(consequences('++--', 'drain').at(-1)).toBe('unhealthy: drained');
});

test('one failed check among others that pass changes nothing', () => {
  expect(consequences('++-+-+').slice(2)).toEqual(['unchanged', 'unchanged', 'unchanged', 'unchanged']);
});

test('an instance that is announced without a check result is withdrawn by its failed checks', () => {
  const health = nextHealth(untested, false, { rise: 1, fall: 1 });
  const check = { before: untested, health, outcome: fails('refused') };
  expect(nextDesired('announced', 'withdraw', check)).toMatchObject({ kind: 'unhealthy', state: 'withdrawn' });
  expect(nextDesired('gone', 'withdraw', check)).toMatchObject({ kind: 'waiting' });
});
