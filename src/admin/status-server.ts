import { Hono } from 'hono';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { answerJson } from './answer-json.ts';
import { type HostRules, harmlessAnswers, onlyOwnHosts, readOnly } from './gate.ts';
import { adminLimits, openPort } from './open-port.ts';

/** Something that fails now, and the meaning of that. */
export type DescribedTrouble = { readonly part: string; readonly means: string; readonly reason: string };

/** As a line of `/readyz`. */
export const describeTrouble = ({ part, means, reason }: DescribedTrouble): string => `${part}: ${means}: ${reason}`;

/** The status of `pointsman files`, `pointsman register` and `pointsman apply --watch`. */
export type StatusAdminOptions = {
  readonly hosts: HostRules;
  readonly metrics: Registry;
  readonly logger: Logger;
  /** What keeps it from being ready, if that is known. */
  readonly health: () => { readonly ready: boolean; readonly troubles?: readonly DescribedTrouble[] };
  /** What it says while it is not ready and names no trouble: `some files are not up to date`. */
  readonly unready: string;
  /** What anyone who reaches the address can read. */
  readonly exposes: string;
};

/** Serves `/metrics`, `/healthz`, `/readyz` and `/status` alone. The answer closes it. Rejects with Fault `address-in-use`. */
export async function serveStatusAdmin(options: StatusAdminOptions): Promise<() => Promise<void>> {
  const { hosts, metrics, health, logger, unready, exposes } = options;
  const app = new Hono();
  app.use(harmlessAnswers());
  app.use(onlyOwnHosts(hosts));
  app.use(readOnly());
  app.get('/healthz', (c) => c.text('ok\n'));
  for (const path of ['/readyz', '/serving']) {
    app.get(path, (c) => {
      const { ready, troubles = [] } = health();
      if (ready) return c.text('ready\n');
      const lines = troubles.length === 0 ? [`${unready}; see /status`] : troubles.map(describeTrouble);
      return c.text([...lines, ''].join('\n'), 503);
    });
  }
  app.get('/metrics', async (c) => {
    health(); // sets the gauges that are read rather than counted
    return c.body(await metrics.metrics(), 200, { 'Content-Type': metrics.contentType });
  });
  app.get('/status', (c) => answerJson(c, health()));
  app.notFound((c) => c.text('there are /metrics, /healthz, /readyz and /status\n', 404));
  return openPort(app, exposes, { hosts, logger, limits: adminLimits });
}
