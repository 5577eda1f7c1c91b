import type { IncomingMessage, RequestListener } from 'node:http';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { printableJson } from '../model/printable.ts';
import { foreignHost, type HostRules, harmlessHeaders, ownHost, reading } from './gate.ts';
import { adminLimits, failedAnswer, logFailed, openPort } from './open-port.ts';

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

type Reply = { readonly status: number; readonly text: string; readonly type?: string };

/**
 * Serves `/metrics`, `/healthz`, `/readyz` and `/status` alone. The answer closes it. Rejects with Fault `address-in-use`. Without Hono,
 * which takes 3 MB: an agent runs on each machine.
 */
export async function serveStatusAdmin(options: StatusAdminOptions): Promise<() => Promise<void>> {
  const { hosts, logger, exposes } = options;
  const isOwn = ownHost(hosts);
  const replyTo = async ({ method = 'GET', url = '/', headers }: IncomingMessage): Promise<Reply> => {
    if (!isOwn(headers.host)) return { status: 421, text: foreignHost };
    if (!reading.includes(method)) return { status: 405, text: 'this port is read-only\n' };
    return read(pathOf(url), options);
  };
  const listener: RequestListener = async (request, response) => {
    const {
      status,
      text,
      type = 'text/plain; charset=UTF-8',
    } = await replyTo(request).catch((error: unknown) => {
      logFailed(logger, pathOf(request.url ?? '/'), error);
      return { status: 500, text: failedAnswer, type: undefined };
    });
    const allow = status === 405 ? { Allow: reading.join(', ') } : {};
    response.writeHead(status, { ...harmlessHeaders, ...allow, 'Content-Type': type }).end(text);
  };
  return openPort(listener, exposes, { hosts, logger, limits: adminLimits });
}

const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;

async function read(path: string, { metrics, health, unready }: StatusAdminOptions): Promise<Reply> {
  switch (path) {
    case '/healthz':
      return { status: 200, text: 'ok\n' };
    case '/readyz':
    case '/serving': {
      const { ready, troubles = [] } = health();
      if (ready) return { status: 200, text: 'ready\n' };
      const lines = troubles.length === 0 ? [`${unready}; see /status`] : troubles.map(describeTrouble);
      return { status: 503, text: `${lines.join('\n')}\n` };
    }
    case '/metrics':
      health(); // sets the gauges that are read rather than counted
      return { status: 200, text: await metrics.metrics(), type: metrics.contentType };
    case '/status':
      // People look at it with curl.
      return { status: 200, text: printableJson(health()), type: 'application/json' };
    default:
      return { status: 404, text: 'there are /metrics, /healthz, /readyz and /status\n' };
  }
}
