import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { serveStatusAdmin } from '../admin/status-server.ts';
import { makeMetric } from '../metrics/make-metric.ts';
import { containerMetrics, setContainerMetrics } from '../register/containers/container-metrics.ts';
import { registerMetrics, setRegisterMetrics } from '../register/register-metrics.ts';
import { type RegisterFacts, type RegisterStatus, statusOf } from '../register/register-status.ts';

type Hosts = Parameters<typeof serveStatusAdmin>[0]['hosts'];

/** The server of metrics and health of `pointsman register`. `facts` gives undefined before the process announces anything. */
export function serveRegisterAdmin(
  hosts: Hosts,
  logger: Logger,
  { facts, withContainers }: { readonly facts: () => RegisterFacts | undefined; readonly withContainers: boolean },
): Promise<() => Promise<void>> {
  const metrics = new Registry();
  const make = makeMetric(metrics);
  const ofRegister = registerMetrics(make);
  const ofContainers = withContainers ? containerMetrics(make) : undefined;
  const health = (): RegisterStatus | { readonly ready: false } => {
    const now = facts();
    if (now === undefined) return { ready: false };
    const status = statusOf(now);
    setRegisterMetrics(ofRegister, status, now.instances);
    if (ofContainers !== undefined && now.containers !== undefined) setContainerMetrics(ofContainers, now.containers);
    return status;
  };
  const texts = { unready: 'starting or leaving', exposes: 'metrics, and the names of instances' };
  return serveStatusAdmin({ hosts, metrics, health, logger, ...texts });
}
