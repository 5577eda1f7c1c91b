import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/** A real HTTP application on its own port that answers with its name. */
export async function startApp(name: string, handler?: (req: IncomingMessage, res: ServerResponse) => void, port = 0) {
  const server = createServer(handler ?? ((_, res) => res.end(name)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
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
