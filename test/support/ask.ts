import { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';

export type Answer = { readonly status: number; readonly body: string };

export type Exchange = Answer & { readonly headers: IncomingHttpHeaders };

export type Asking = {
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
  /** The address to ask from, another one of 127.0.0.0/8. */
  readonly from?: string;
  /** Whose connection to use. Each request has a connection of its own otherwise. */
  readonly agent?: Agent | false;
  readonly deadlineMs?: number;
};

/** One request, with all that came back. Rejects when there is no answer in time. */
export function exchange(port: number, asking: Asking): Promise<Exchange> {
  const { host, path = '/', method = 'GET', headers, body, from: localAddress = '127.0.0.1' } = asking;
  const { agent = false, deadlineMs = 10_000 } = asking;
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, localAddress, agent, timeout: deadlineMs };
    const req = request({ ...to, path, method, headers: { host, ...(headers as OutgoingHttpHeaders) } }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('end', () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts).toString() });
      });
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no answer within ${deadlineMs / 1000} s`)));
    req.on('error', reject);
    req.end(body);
  });
}

/** One request with a Host header of its own, without the headers of the answer. */
export async function ask(
  port: number,
  host: string,
  path = '/',
  how: Pick<Asking, 'agent' | 'deadlineMs'> = {},
): Promise<Answer> {
  const { status, body } = await exchange(port, { host, path, ...how });
  return { status, body };
}
