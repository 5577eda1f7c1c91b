import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { emptyCatalog } from '../catalog/catalog.ts';
import { defaultGuardPolicy } from '../catalog/guard.ts';
import { parseInstance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { Guarding } from './guarding.ts';
import { createBalanceMetrics } from './metrics.ts';

const web = 'web' as ServiceName;

test.each([
  ['goes on for the rest of its time', 30_000, 30_000],
  ['lasts no longer than a new hold, however far the clock was set back', 365 * 86_400_000, 60_000],
])('a hold of the process before %s', (_, remainingMs, endsInMs) => {
  const guarding = new Guarding({
    policy: { ...defaultGuardPolicy, holdMs: 60_000 },
    metrics: createBalanceMetrics(new Registry()),
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
