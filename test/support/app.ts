import { type Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/** A real HTTP application on its own port that answers with its name. */
export async function startApp(name: string, handler?: (req: IncomingMessage, res: ServerResponse) => void) {
  const server = createServer(handler ?? ((_, res) => res.end(name)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return {
    name,
    server,
    port: address.port,
    address: `127.0.0.1:${address.port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Applications that answer with their names, until the test is finished. Gives their addresses. */
export async function startApps(...names: readonly string[]): Promise<string[]> {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  return apps.map(({ address }) => address);
}

export type Answer = { readonly status: number; readonly body: string };

/** One request with a Host header of its own. Rejects when there is no answer within 10 s. */
export function ask(port: number, host: string, path = '/', agent: Agent | false = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers: { host }, agent, timeout: 10_000 }, (res) => {
      let body = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        body += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body }));
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', reject);
    req.end();
  });
}
