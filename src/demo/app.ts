import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The demo's application: it answers with its name and its age. It ends on SIGTERM, after its open requests. */
export function runDemoApp(name: string, port: number, uptime: () => number): Promise<void> {
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    response.end(`${name} on port ${(server.address() as AddressInfo).port}, up ${Math.round(uptime())} s\n`);
  });
  server.listen(port, '127.0.0.1');
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    process.once('SIGTERM', () => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  });
}
