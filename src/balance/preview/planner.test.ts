import { expect, test } from 'vitest';
import { Fault } from '../../model/fault.ts';
import { Planner, type PlannerParts, type Question } from './planner.ts';

/** A planner with a clock that stands still, but for what a test does to it. It never gets as far as an answer. */
function idlePlanner() {
  let now = 0;
  const parts: Pick<PlannerParts, 'now'> & {
    readonly balancer: { readonly planBasis: () => { readonly known: true } };
  } = {
    now: () => now,
    balancer: { planBasis: () => ({ known: true }) },
  };
  const planner = new Planner(parts as unknown as PlannerParts);
  const pass = (ms: number) => {
    now += ms;
  };
  return { planner, pass };
}

const never = new AbortController().signal;

test.each([
  { readMs: 100, restMs: 400 },
  { readMs: 60_000, restMs: 10_000 },
])('after a question that took $readMs ms to refuse, a planner rests for $restMs ms', async ({ readMs, restMs }) => {
  const { planner, pass } = idlePlanner();
  const read = (): Question => {
    pass(readMs);
    throw new Fault('usage', 'it is no question');
  };
  await expect(planner.plan(read, never)).rejects.toThrow('it is no question');
  expect(planner.busy()).toEqual({
    kind: 'busy',
    reason: 'this balancer made a plan a moment ago',
    retryMs: expect.closeTo(restMs),
  });
  expect(await planner.plan(read, never)).toMatchObject({ kind: 'busy' });
  pass(restMs + 1);
  expect(planner.busy()).toBeUndefined();
});

test('a planner plans nothing for a client that has gone', async () => {
  const { planner } = idlePlanner();
  const client = new AbortController();
  const read = (): Question => {
    client.abort();
    return { changes: [], validate: true };
  };
  expect(await planner.plan(read, client.signal)).toMatchObject({ kind: 'busy', reason: 'the question was withdrawn' });
});
