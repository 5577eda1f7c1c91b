import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { serveFilesAdmin } from '../admin/server.ts';
import { createFilesMetrics } from '../files/metrics.ts';
import type { FilesAdmin } from '../files/run-files.ts';

type Hosts = Parameters<typeof serveFilesAdmin>[0]['hosts'];

/** The server of metrics and health of `pointsman files`. */
export function filesAdmin(hosts: Hosts, logger: Logger): FilesAdmin {
  const metrics = new Registry();
  return {
    metrics: createFilesMetrics(metrics),
    serve: (health) => serveFilesAdmin({ hosts, metrics, health, logger }),
  };
}
