import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { serveStatusAdmin } from '../admin/status-server.ts';
import { createFilesMetrics } from '../files/metrics.ts';
import type { FilesAdmin } from '../files/run-files.ts';

type Hosts = Parameters<typeof serveStatusAdmin>[0]['hosts'];

/** The server of metrics and health of `pointsman files`. */
export function filesAdmin(hosts: Hosts, logger: Logger): FilesAdmin {
  const metrics = new Registry();
  const texts = { unready: 'some files are not up to date', exposes: 'metrics and the paths of files' };
  return {
    metrics: createFilesMetrics(metrics),
    serve: (health) => serveStatusAdmin({ hosts, metrics, health, logger, ...texts }),
  };
}
