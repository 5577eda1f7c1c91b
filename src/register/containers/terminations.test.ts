import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import { until } from '../../../test/support/until.ts';
import type { Container } from '../../engine/container.ts';
import type { Registry } from '../../registry/registry.ts';
import { Terminations } from './terminations.ts';

const container = containerOf({ labels: { 'pointsman.service': 'web' }, stopTimeoutMs: 40 });
const silent: Registry['read'] = (_, signal) =>
  new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('no answer'))));

function start(present: () => Container | undefined, read = silent) {
  const signals: string[] = [];
  const engine = {
    inspect: async () => present(),
    async kill(id: string, signal: string) {
      signals.push(`${signal} ${id}`);
      return true;
    },
  };
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const terminations = new Terminations({ engine, registry: { read }, drainTimeoutMs: 60_000, logger });
  onTestFinished(() => terminations.stop());
  return { terminations, signals, lines };
}

test('a registry that does not answer delays SIGTERM by less than the stop time-out, where this agent announced nothing', async () => {
  const { terminations, signals } = start(() => container);
  terminations.begin(container, false);
  await until('SIGTERM is sent', () => signals.length === 1);
});

test('a registry that does not answer may have an instance that this agent announced', async () => {
  const { terminations, signals } = start(() => container);
  terminations.begin(container, true);
  terminations.begin({ ...container, id: 'other' }, false);
  await until('SIGTERM is sent', () => signals.length > 0);
  expect(signals).toEqual(['TERM other']);
});

test('a run that ends while SIGTERM waits for the registry gets none, and neither does the next run', async () => {
  const next = { ...container, startedAt: '2026-01-02T00:00:00Z' };
  const { terminations, signals, lines } = start(() => next);
  terminations.begin(container, true);
  terminations.follow(new Map([[container.id, { container, stage: 'left' }]]));
  expect(lines).toEqual([]);
  terminations.follow(new Map([[next.id, { container: next, stage: 'up' }]]));
  await until('the wait has ended', () => lines.length > 0);
  expect(lines).toEqual(['web-1 left; it has ended']);
  expect(signals).toEqual([]);
});
