import { pino } from 'pino';
import { Registry as Metrics } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import type { Registry, SessionOptions } from '../../registry/registry.ts';
import { acknowledgeMetrics } from './acknowledge-metrics.ts';
import { FleetKey } from './fleet-key.ts';

test('a registry that takes no writes is why nobody can wait for the balancer, until it takes them again', async () => {
  let session: SessionOptions | undefined;
  const metrics = acknowledgeMetrics(makeMetric(new Metrics()));
  const key = new FleetKey({
    registry: {
      openSession: (options: SessionOptions) => {
        session = options;
        return { put: async () => undefined, remove: async () => undefined, close: async () => undefined };
      },
    } as unknown as Registry,
    id: 'edge-1',
    owner: 'me',
    metrics,
    logger: pino({ level: 'silent' }),
    onDue: () => undefined,
  });
  const acknowledging = async () => (await metrics.acknowledging.get()).values[0]?.value;
  await key.put('{}', new AbortController().signal);
  session?.onEvent({ kind: 'unreachable', reason: 'its quota is used up' });
  expect([key.unwritable, await acknowledging()]).toEqual(['its quota is used up', 0]);
  session?.onEvent({ kind: 'reachable' });
  expect([key.unwritable, await acknowledging()]).toEqual([undefined, 1]);
});
