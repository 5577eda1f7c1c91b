import { createConnection, createServer, type Socket } from 'node:net';

/** Stands between a balancer and HAProxy's runtime socket and hands every command line that passes to `onCommand`. */
export async function startCommandTap(path: string, haproxySocket: string, onCommand: (line: string) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = createConnection(haproxySocket);
    let pending = '';
    client.on('data', (chunk) => {
      const lines = (pending + chunk.toString('latin1')).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) onCommand(line);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => client.write(chunk));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    path,
    close: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
