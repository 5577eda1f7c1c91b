import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import { blocking, Troubles, troubleMetrics, troubleParts } from './troubles.ts';

function create() {
  let at = 0;
  const lines: { readonly event: string }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const metrics = troubleMetrics(makeMetric(new Registry()));
  const troubles = new Troubles({ metrics, logger, now: () => at });
  const pass = (ms: number) => {
    at += ms;
  };
  return { troubles, lines, metrics, pass };
}

test('a trouble is told once, counted, and told to be over', () => {
  const { troubles, lines, pass } = create();
  troubles.failed('rounds', 'first');
  pass(500);
  troubles.failed('rounds', 'second');
  expect(troubles.status()).toEqual([
    { part: 'rounds', ...troubleParts.rounds, reason: 'second', sinceMs: 500, failures: 2 },
  ]);
  troubles.over('rounds');
  troubles.over('rounds');
  expect(troubles.status()).toEqual([]);
  expect(lines.map(({ event }) => event)).toEqual(['trouble', 'trouble-over']);
});

test('only what keeps changes from being applied, for longer than a moment, blocks', () => {
  const { troubles, pass } = create();
  troubles.failed('rounds', 'x');
  troubles.failed('certificates', 'y');
  expect(blocking(troubles.status())).toEqual([]);
  pass(2000);
  expect(blocking(troubles.status()).map(({ part }) => part)).toEqual(['rounds']);
});

test('the metric has a series for each part, and the runbook a row', async () => {
  const { troubles, metrics } = create();
  troubles.is('storage', 'full');
  const { values } = await metrics.trouble.get();
  expect(Object.fromEntries(values.map(({ labels, value }) => [labels.part, value]))).toEqual({
    ...Object.fromEntries(Object.keys(troubleParts).map((part) => [part, 0])),
    storage: 1,
  });
  const runbook = readFileSync(join(import.meta.dirname, '../../../docs/runbook.md'), 'utf8');
  for (const [part, { blocks }] of Object.entries(troubleParts)) {
    expect(runbook).toMatch(new RegExp(`^\\| \`${part}\` \\| [^|]+ \\| ${blocks ? 'yes' : 'no'} \\|`, 'm'));
  }
});
