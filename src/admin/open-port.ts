import { createServer, type RequestListener, type Server } from 'node:http';
import type { Logger } from 'pino';
import { type Address, formatAddress, isLoopback } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import type { HostRules } from './gate.ts';

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

export type PortOptions = {
  /** Where it listens, and as what it may be asked. */
  readonly hosts: HostRules;
  readonly logger: Logger;
  readonly limits: AdminLimits;
};

/** Listens for requests. Anyone who reaches the address can read `what`. The answer closes it. Rejects with Fault `address-in-use`. */
export async function openPort(
  listener: RequestListener,
  what: string,
  { hosts, logger, limits }: PortOptions,
): Promise<() => Promise<void>> {
  const { address } = hosts;
  const server = await listen(listener, address, limits);
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

/** The answer to a request that failed, with 500. */
export const failedAnswer = 'the request failed; see the log\n';

/** Logs a request that failed. */
export function logFailed(logger: Logger, path: string, error: unknown): void {
  logger.error({ event: 'admin-failed', path, reason: describe(error) }, 'a request to the admin port failed');
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

function listen(listener: RequestListener, { host, port, family }: Address, limits: AdminLimits): Promise<Server> {
  return new Promise((resolve, reject) => {
    const times = {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      maxHeaderSize: limits.headerBytes,
      keepAliveTimeout: limits.headersMs,
      // How often the two are looked at; by default every 30 s.
      connectionsCheckingInterval: Math.ceil(limits.headersMs / 5),
    };
    const server = createServer(times, listener);
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
    server.listen(port, host);
  });
}
