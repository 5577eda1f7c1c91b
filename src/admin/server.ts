import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import type { BalanceHealth } from '../balance/run-balance.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { addViews, type ViewsParts } from './views.ts';

export type AdminOptions = {
  readonly address: Address;
  readonly metrics: Registry;
  readonly health: () => BalanceHealth;
  readonly views: ViewsParts;
};

/**
 * Serves `/metrics`, `/healthz` (the process works), `/readyz` (HAProxy serves) `/status` and the views. The answer closes it.
 * Rejects with Fault `address-in-use`.
 */
export async function serveAdmin({ address, metrics, health, views }: AdminOptions): Promise<() => Promise<void>> {
  const app = new Hono();
  app.get('/healthz', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const { ready } = health();
    return c.text(ready ? 'ready\n' : 'not serving yet\n', ready ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    health(); // sets the gauges that are read rather than counted
    return c.body(await metrics.metrics(), 200, { 'Content-Type': metrics.contentType });
  });
  app.get('/status', (c) => c.json(health()));
  addViews(app, views);
  app.notFound((c) => c.text('there are /metrics, /healthz, /readyz and /status\n', 404));

  const server = await listen(app, address);
  // A reader that never finishes its request, or never takes its answer, is let go.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5000;
  server.maxConnections = 256;
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

function listen(app: Hono, { host, port, family }: Address): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }) as Server;
    server.once('listening', () => resolve(server));
    server.once('error', (error: NodeJS.ErrnoException) => {
      const at = formatAddress({ host, port, family });
      const inUse = error.code === 'EADDRINUSE';
      reject(
        new Fault('address-in-use', `cannot listen on ${at}: ${inUse ? 'it is in use' : error.message}`, {
          where: '--admin',
          hint: inUse ? 'end what listens there (ss -ltnp shows it), or choose another' : undefined,
          cause: error,
        }),
      );
    });
  });
}
