import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { serveStatusAdmin } from '../admin/status-server.ts';
import { applyMetrics } from '../apply/apply-metrics.ts';
import type { KeepStatus } from '../apply/keep-applied.ts';
import { makeMetric } from '../metrics/make-metric.ts';

type Hosts = Parameters<typeof serveStatusAdmin>[0]['hosts'];

/** The server of metrics and health of `pointsman apply --watch`. */
export function applyAdmin(hosts: Hosts, logger: Logger, health: () => KeepStatus) {
  const metrics = new Registry();
  const { results, ready, revision } = applyMetrics(makeMetric(metrics));
  const texts = {
    unready: 'the files are not applied, or not served',
    exposes: 'metrics, and what is wrong with the files',
  };
  return {
    count(status: KeepStatus): void {
      results.inc({ result: status.ready ? 'done' : 'failed' });
      ready.set(status.ready ? 1 : 0);
      if (status.revision !== undefined) revision.set(Number(status.revision));
    },
    /** The answer ends it. */
    serve: () => serveStatusAdmin({ hosts, metrics, health, logger, ...texts }),
  };
}
