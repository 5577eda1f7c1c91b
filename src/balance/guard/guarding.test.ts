import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test, vi } from 'vitest';
import { emptyCatalog } from '../../catalog/catalog.ts';
import type { RunningServer, RunningState } from '../../haproxy/running-state.ts';
import { makeMetric } from '../../metrics/make-metric.ts';
import { parseInstance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { defaultGuardPolicy } from './guard.ts';
import { Guarding, guardMetrics } from './guarding.ts';

const web = 'web' as ServiceName;

test.each([
  ['goes on for the rest of its time', 30_000, 30_000],
  ['lasts no longer than a new hold, however far the clock was set back', 365 * 86_400_000, 60_000],
])('a hold of the process before %s', (_, remainingMs, endsInMs) => {
  const guarding = new Guarding({
    policy: { ...defaultGuardPolicy, holdMs: 60_000 },
    metrics: guardMetrics(makeMetric(new Registry())),
    logger: pino({ level: 'silent' }),
    now: () => 0,
    onChange: () => undefined,
  });
  const instance = parseInstance(web, 'a' as InstanceId, '10.0.0.1:80');
  if (!instance.ok) throw new Error(instance.reason);
  guarding.resume([{ service: web, lost: 3, of: 5, remainingMs, instances: [instance.value] }], emptyCatalog);
  expect(guarding.status()).toMatchObject([{ service: 'web', endsInMs }]);
  guarding.close();
});

test('what is held and let go of takes one line of the log, however many instances it is of', () => {
  const lines: Record<string, unknown>[] = [];
  const onChange = vi.fn();
  const guarding = new Guarding({
    policy: { ...defaultGuardPolicy, holdMs: 60_000 },
    metrics: guardMetrics(makeMetric(new Registry())),
    logger: pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) }),
    now: () => 0,
    onChange,
  });
  const ids = Array.from({ length: 1000 }, (_, i) => `i${i}` as InstanceId);
  const instances = ids.map((id) => {
    const instance = parseInstance(web, id, '10.0.0.1:80');
    if (!instance.ok) throw new Error(instance.reason);
    return instance.value;
  });
  guarding.resume([{ service: web, lost: 1000, of: 1000, remainingMs: 60_000, instances }], emptyCatalog);
  const first = ['i0', 'i1', 'i2'];
  const held = { event: 'guard-held', service: 'web', count: 1000, instances: first, seconds: 60 };
  expect(lines).toMatchObject([
    { ...held, msg: 'web: many instances were lost at once, and pointsman guards them: i0, i1, i2 and 997 more' },
  ]);
  expect(onChange).toHaveBeenCalledTimes(1000);
  const down = { up: false } as unknown as RunningServer;
  guarding.observe({
    servers: new Map([[web, new Map(ids.slice(0, 400).map((id) => [id, down]))]]),
  } as unknown as RunningState);
  guarding.release('*');
  expect(lines.slice(1)).toMatchObject([
    { event: 'guard-let-go', service: 'web', count: 400, instances: first, reason: 'check-failed' },
    { event: 'guard-let-go', service: 'web', count: 600, instances: ['i400', 'i401', 'i402'], reason: 'released' },
  ]);
  expect(onChange).toHaveBeenCalledTimes(2000);
  guarding.close();
});
