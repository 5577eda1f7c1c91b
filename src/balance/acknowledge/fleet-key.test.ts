import { pino } from 'pino';
import { Registry as Metrics } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import type { Registry, SessionOptions } from '../../registry/registry.ts';
import { acknowledgeMetrics } from './acknowledge-metrics.ts';
import { FleetKey } from './fleet-key.ts';

function open() {
  let session: SessionOptions | undefined;
  const calls: string[] = [];
  const metrics = acknowledgeMetrics(makeMetric(new Metrics()));
  const key = new FleetKey({
    registry: {
      openSession: (options: SessionOptions) => {
        session = options;
        return {
          put: async (name: string, value: string) => void calls.push(`put ${name} ${value}`),
          remove: async () => undefined,
          close: async () => void calls.push('close'),
        };
      },
    } as unknown as Registry,
    id: 'edge-1',
    owner: 'me',
    metrics,
    logger: pino({ level: 'silent' }),
    onDue: () => undefined,
  });
  return { key, metrics, calls, session: () => session };
}

test('a balancer whose HAProxy has ended says so before it removes its key', async () => {
  const { key, calls } = open();
  await key.put('{"format":1}', new AbortController().signal);
  await key.close();
  expect(calls.slice(1)).toEqual(['put balancers/edge-1 {"format":1,"ended":true}', 'close']);
});

test('a balancer that leaves its HAProxy to a successor does not say that it has ended', async () => {
  const { key, calls } = open();
  await key.put('{"format":1}', new AbortController().signal);
  await key.leave(false);
  expect(calls).toEqual(['put balancers/edge-1 {"format":1}']);
});

test('a registry that takes no writes is why nobody can wait for the balancer, until it takes them again', async () => {
  const { key, metrics, session } = open();
  const acknowledging = async () => (await metrics.acknowledging.get()).values[0]?.value;
  await key.put('{}', new AbortController().signal);
  session()?.onEvent({ kind: 'unreachable', reason: 'its quota is used up' });
  expect([key.unwritable, await acknowledging()]).toEqual(['its quota is used up', 0]);
  session()?.onEvent({ kind: 'reachable' });
  expect([key.unwritable, await acknowledging()]).toEqual([undefined, 1]);
});
