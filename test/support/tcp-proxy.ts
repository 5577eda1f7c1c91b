import { createConnection, createServer, type Socket } from 'node:net';

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>;

/** A TCP proxy before one port, to do to connections what networks do. */
export async function startTcpProxy(target: number) {
  const pairs = new Set<readonly [Socket, Socket]>();
  let refusing = false;
  let silent = false;
  /** Bytes from the target that may still pass; the connection is cut when they are used up. */
  let budget = Number.POSITIVE_INFINITY;
  const cutAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  const server = createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const upstream = createConnection(target, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const close = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.on('error', close).on('close', close);
    client.on('data', (chunk) => {
      if (!silent) upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (silent) return;
      budget -= chunk.length;
      if (budget < 0) {
        // Part of a message arrives, as when a machine goes down in the middle of it.
        client.write(chunk.subarray(0, Math.max(0, chunk.length + budget)));
        budget = Number.POSITIVE_INFINITY;
        close();
      } else client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return {
    endpoint: `127.0.0.1:${address.port}`,
    /** Ends all connections; new ones are taken. */
    cut: cutAll,
    /** Ends the connection that brings the target's next `bytes`. */
    cutAfter(bytes: number): void {
      budget = bytes;
    },
    /** Connections stay and nothing passes: a machine that is gone without a word. */
    blackHole(on: boolean): void {
      silent = on;
    },
    refuse(on: boolean): void {
      refusing = on;
      if (on) cutAll();
    },
    close(): Promise<void> {
      cutAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
