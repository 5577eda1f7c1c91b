import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import { revision } from '../../model/revision.ts';
import { Progress } from './progress.ts';
import { reconcileMetrics } from './reconcile-metrics.ts';

function progress() {
  const lines: string[] = [];
  let at = 0;
  const one = new Progress({
    metrics: reconcileMetrics(makeMetric(new Registry())),
    logger: pino({}, { write: (line: string) => void lines.push(line) }),
    now: () => at,
    wall: () => new Date(0),
  });
  return {
    seenAt(ms: number) {
      at = ms;
      one.onFolded(1, []);
    },
    round(began: number, rendered: number, commanded: number, ...what: readonly string[]) {
      at = commanded;
      one.onRound({ began, rendered, commanded, what });
    },
    reachedAt(ms: number) {
      at = ms;
      one.onApplied(revision(7n));
      return JSON.parse(lines.at(-1) ?? '') as { ms: number; stages: Record<string, number>; what: readonly string[] };
    },
  };
}

test('the stages of what was applied are parts of the whole time, however many rounds it took', () => {
  const one = progress();
  one.seenAt(0);
  one.round(10, 11, 13);
  // This comes during a reload; that during a round, and waits for its end only.
  one.seenAt(50);
  one.round(60, 61, 62);
  one.seenAt(61);
  one.round(65, 66, 70);
  const { ms, stages } = one.reachedAt(100);
  expect({ ms, stages }).toEqual({ ms: 100, stages: { wait: 10 + 10 + 3, render: 3, command: 7 } });
  one.seenAt(200);
  one.round(201, 202, 203);
  expect(one.reachedAt(203)).toMatchObject({ ms: 3, stages: { wait: 1, render: 1, command: 1 } });
});

test('what was applied names each step and each reason once', () => {
  const one = progress();
  one.seenAt(0);
  one.round(1, 1, 1, 'the port of db changed', 'service web is new');
  one.round(2, 2, 2, 'the port of db changed', 'service api is new');
  expect(one.reachedAt(3).what).toEqual(['the port of db changed', 'service web is new', 'service api is new']);
  one.seenAt(4);
  one.round(5, 5, 5, ...Array.from({ length: 12 }, (_, i) => `step ${i}`));
  expect(one.reachedAt(6).what.slice(9)).toEqual(['step 9', 'and 2 more']);
});
