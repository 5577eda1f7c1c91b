import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import * as v from 'valibot';
import type { BalanceHealth } from '../balance/health.ts';
import type { LeavingStatus } from '../balance/lame-duck.ts';
import type { Planner } from '../balance/preview/planner.ts';
import { type ActionsParts, addActions } from './actions.ts';
import { answerJson } from './answer-json.ts';
import { type HostRules, harmlessAnswers, onlyOwnHosts, readOnlyWithout } from './gate.ts';
import { type AdminLimits, adminLimits, failedAnswer, logFailed, openPort } from './open-port.ts';
import { addPage } from './page-files.ts';
import { addPlan, exceptPlans } from './plan.ts';
import { describeTrouble } from './status-server.ts';
import type { AdminToken } from './token.ts';
import { addViews, type ViewsParts } from './views.ts';

export type AdminOptions = {
  /** Where it listens, and as what it may be asked. */
  readonly hosts: HostRules;
  readonly metrics: Registry;
  readonly health: () => BalanceHealth;
  readonly views: ViewsParts;
  readonly planner: Planner;
  readonly logLevel: LogLevelControl;
  /** Without one nothing can be changed. */
  readonly token: AdminToken | undefined;
  readonly operations: ActionsParts['operations'];
  readonly logger: Logger;
  readonly limits?: AdminLimits;
  /** The folder with the built page. */
  readonly page: string;
};

/**
 * Serves `/metrics`, `/healthz` (the process works), `/serving` (HAProxy serves, and is not about to stop), `/readyz` (and applies
 * changes), `/status`, `/log-level`, the views and the actions. The answer closes it. Rejects with Fault `address-in-use`.
 */
export async function serveAdmin(options: AdminOptions): Promise<() => Promise<void>> {
  const { hosts, metrics, health, views, planner, page, logLevel, token, operations } = options;
  const { logger, limits = adminLimits } = options;
  const app = new Hono();
  app.use(harmlessAnswers());
  app.use(onlyOwnHosts(hosts));
  app.use(exceptPlans(readOnlyWithout(token)));
  app.get('/healthz', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const { ready, serving, leaving, troubles } = health();
    if (ready) return c.text('ready\n');
    const why = troubles.filter(({ blocks }) => blocks).map(describeTrouble);
    const lines = [...(leaving ? [describeLeaving(leaving)] : []), ...(serving ? [] : ['not serving']), ...why];
    return c.text([...lines, ''].join('\n'), 503);
  });
  app.get('/serving', (c) => {
    const { serving, leaving } = health();
    if (leaving !== undefined) return c.text(`${describeLeaving(leaving)}\n`, 503);
    return c.text(serving ? 'serving\n' : 'not serving\n', serving ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    health(); // sets the gauges that are read rather than counted
    return c.body(await metrics.metrics(), 200, { 'Content-Type': metrics.contentType });
  });
  app.get('/status', (c) => answerJson(c, health()));
  addLogLevel(app, logLevel);
  addViews(app, views);
  addActions(app, { operations, hasToken: token !== undefined, hostname: hosts.hostname, logger });
  addPlan(app, planner, token);
  addPage(app, page);
  app.notFound((c) => c.text('there are / (a page), /metrics, /healthz, /serving, /readyz and /status\n', 404));
  app.onError((error, c) => {
    logFailed(logger, c.req.path, error);
    return c.text(failedAnswer, 500);
  });
  const listener = getRequestListener(app.fetch, { hostname: hosts.address.host });
  return openPort(listener, 'metrics, status, services, addresses of instances and the log', { hosts, logger, limits });
}

const describeLeaving = ({ stopsInMs }: LeavingStatus): string =>
  `leaving: stops in ${(stopsInMs / 1000).toFixed(1)} s`;

const logLevel = v.picklist(['trace', 'debug', 'info', 'warn', 'error', 'silent']);

type LogLevel = v.InferOutput<typeof logLevel>;

/** Reads and changes the log level while the balancer runs. */
type LogLevelControl = { readonly level: () => LogLevel; readonly setLevel: (level: LogLevel) => void };

/** Adds `GET /log-level` and `PUT /log-level` (the level as its body). */
function addLogLevel(app: Hono, { level, setLevel }: LogLevelControl): void {
  app.get('/log-level', (c) => c.text(`${level()}\n`));
  app.put('/log-level', bodyLimit({ maxSize: 64, onError: (c) => c.text('it is too long\n', 413) }), async (c) => {
    const wanted = v.safeParse(logLevel, (await c.req.text()).trim());
    if (!wanted.success) return c.text(`it is not one of ${logLevel.options.join(', ')}\n`, 400);
    setLevel(wanted.output);
    return c.text(`${level()}\n`);
  });
}
