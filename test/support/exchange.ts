import { type IncomingHttpHeaders, request } from 'node:http';

export type Exchange = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Asking = {
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The address to ask from, another one of 127.0.0.0/8. */
  readonly from?: string;
};

/** One request on a connection of its own, with all that came back. Rejects when there is no answer within 10 s. */
export function exchange(port: number, asking: Asking): Promise<Exchange> {
  const { host, path = '/', method = 'GET', headers, body, from: localAddress = '127.0.0.1' } = asking;
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, localAddress, agent: false, timeout: 10_000 };
    const req = request({ ...to, path, method, headers: { host, ...headers } }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('end', () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts).toString() });
      });
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', reject);
    req.end(body);
  });
}
