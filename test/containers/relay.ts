import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';

/** A socket in front of an engine's, which a test can take away for a while. */
export async function startRelay(path: string, target: string) {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const engine = connect(target);
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      open.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  const listen = () => new Promise<void>((resolve) => server.listen(path, resolve));
  await listen();
  return {
    path,
    /** Ends all connections, and takes no new ones. */
    async away(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
      await rm(path, { force: true });
    },
    back: listen,
  };
}
