import { createServer, type Server } from 'node:http';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import * as v from 'valibot';
import type { BalanceHealth } from '../balance/health.ts';
import type { LeavingStatus } from '../balance/lame-duck.ts';
import type { Planner } from '../balance/preview/planner.ts';
import { type Address, formatAddress, isLoopback } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import { type ActionsParts, addActions } from './actions.ts';
import { answerJson } from './answer-json.ts';
import { type HostRules, harmlessAnswers, onlyOwnHosts, readOnlyWithout } from './gate.ts';
import { addPage } from './page-files.ts';
import { addPlan, exceptPlans } from './plan.ts';
import type { AdminToken } from './token.ts';
import { addViews, type ViewsParts } from './views.ts';

/** The limits for each connection. Times in ms, sizes in bytes. */
export type AdminLimits = {
  readonly connections: number;
  /** From connecting, or from the answer before, until all headers are there. */
  readonly headersMs: number;
  /** The same for the whole request. */
  readonly requestMs: number;
  /** How long a connection may be idle, also when the client does not read an answer. */
  readonly idleMs: number;
  /** The request line and all headers. */
  readonly headerBytes: number;
};

/** An event stream sends a line every 15 s, so that it is never idle for long. */
export const adminLimits: AdminLimits = {
  connections: 256,
  headersMs: 5000,
  requestMs: 10_000,
  idleMs: 30_000,
  headerBytes: 8192,
};

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
  const app = guarded(hosts, token);
  app.get('/readyz', (c) => {
    const { ready, serving, leaving, troubles } = health();
    if (ready) return c.text('ready\n');
    const why = troubles
      .filter(({ blocks }) => blocks)
      .map(({ part, means, reason }) => `${part}: ${means}: ${reason}`);
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
  return open(app, 'metrics, status, services, addresses of instances and the log', { hosts, logger, limits });
}

const describeLeaving = ({ stopsInMs }: LeavingStatus): string =>
  `leaving: stops in ${(stopsInMs / 1000).toFixed(1)} s`;

/** The status of `pointsman files` and of `pointsman apply --watch`. */
export type StatusAdminOptions = Pick<AdminOptions, 'hosts' | 'metrics' | 'logger'> & {
  readonly health: () => { readonly ready: boolean };
  /** What it says while it is not ready: `some files are not up to date`. */
  readonly unready: string;
  /** What anyone who reaches the address can read. */
  readonly exposes: string;
};

/** Serves `/metrics`, `/healthz`, `/readyz` and `/status` alone. The answer closes it. Rejects with Fault `address-in-use`. */
export async function serveStatusAdmin(options: StatusAdminOptions): Promise<() => Promise<void>> {
  const { hosts, metrics, health, logger, unready, exposes } = options;
  const app = guarded(hosts, undefined);
  for (const path of ['/readyz', '/serving']) {
    app.get(path, (c) => {
      const { ready } = health();
      const text = ready ? 'ready\n' : `${unready}; see /status\n`;
      return c.text(text, ready ? 200 : 503);
    });
  }
  app.get('/metrics', async (c) => {
    health(); // sets the gauges that are read rather than counted
    return c.body(await metrics.metrics(), 200, { 'Content-Type': metrics.contentType });
  });
  app.get('/status', (c) => answerJson(c, health()));
  app.notFound((c) => c.text('there are /metrics, /healthz, /readyz and /status\n', 404));
  return open(app, exposes, { hosts, logger, limits: adminLimits });
}

function guarded(hosts: HostRules, token: AdminToken | undefined): Hono {
  const app = new Hono();
  app.use(harmlessAnswers());
  app.use(onlyOwnHosts(hosts));
  app.use(exceptPlans(readOnlyWithout(token)));
  app.get('/healthz', (c) => c.text('ok\n'));
  return app;
}

type Opening = Pick<AdminOptions, 'hosts' | 'logger'> & { readonly limits: AdminLimits };

/** Anyone who reaches the address can read `what`. */
async function open(app: Hono, what: string, { hosts, logger, limits }: Opening): Promise<() => Promise<void>> {
  const { address } = hosts;
  app.onError((error, c) => {
    logger.error(
      { event: 'admin-failed', path: c.req.path, reason: describe(error) },
      'a request to the admin port failed',
    );
    return c.text('the request failed; see the log\n', 500);
  });
  const server = await listen(app, address, limits);
  if (!isLoopback(address)) {
    const at = formatAddress(address);
    logger.info({ event: 'admin-exposed', address: at }, `everyone who can reach ${at} can read ${what}`);
  }
  warnWhenFull(server, logger);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

/** Logged once a minute at most: else a client could fill the log. */
const fullEveryMs = 60_000;

function warnWhenFull(server: Server, logger: Logger): void {
  let quietUntil = 0;
  server.on('drop', () => {
    if (performance.now() < quietUntil) return;
    quietUntil = performance.now() + fullEveryMs;
    const { maxConnections: connections } = server;
    logger.warn(
      { event: 'admin-full', connections },
      'the admin port has reached its limit of connections and refuses more',
    );
  });
}

function listen(app: Hono, { host, port, family }: Address, limits: AdminLimits): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({
      fetch: app.fetch,
      hostname: host,
      port,
      createServer,
      serverOptions: {
        headersTimeout: limits.headersMs,
        requestTimeout: limits.requestMs,
        maxHeaderSize: limits.headerBytes,
        keepAliveTimeout: limits.headersMs,
        // How often the two are looked at; by default every 30 s.
        connectionsCheckingInterval: Math.ceil(limits.headersMs / 5),
      },
    }) as Server;
    server.timeout = limits.idleMs;
    server.maxConnections = limits.connections;
    server.once('listening', () => resolve(server));
    server.once('error', (error: NodeJS.ErrnoException) => {
      const at = formatAddress({ host, port, family });
      const inUse = error.code === 'EADDRINUSE';
      reject(
        new Fault('address-in-use', `cannot listen on ${at}: ${inUse ? 'it is in use' : error.message}`, {
          where: '--admin',
          hint: inUse
            ? 'stop the program that listens there (ss -ltnp shows it), or choose another address'
            : undefined,
          cause: error,
        }),
      );
    });
  });
}

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
