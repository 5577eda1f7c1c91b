import { request } from 'node:https';
import type { Exchange } from './ask.ts';

export type OverTls = {
  readonly host: string;
  /** The authority (PEM) that has to have issued the certificate; any certificate is taken otherwise. */
  readonly ca?: string;
  readonly path?: string;
};

/** One HTTPS request on a connection of its own. Rejects when the certificate does not prove the host. */
export function requestOver(port: number, { host, ca, path = '/' }: OverTls): Promise<Exchange> {
  const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, servername: host, path, headers: { host }, agent: false, timeout: 10_000 };
    const req = request({ ...to, ...trust }, (res) => {
      const parts: Buffer[] = [];
      res.on('error', reject).on('data', (part: Buffer) => parts.push(part));
      res.on('end', () =>
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts).toString() }),
      );
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s'))).on('error', reject);
    req.end();
  });
}
