import { createConnection, createServer, type Socket } from 'node:net';

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>;

/** A TCP proxy before one port, to do to connections what networks do. */
export async function startTcpProxy(target: number, host = '127.0.0.1', port = 0) {
  const pairs = new Set<readonly [Socket, Socket]>();
  let refusing = false;
  let silent = false;
  let swallowing = false;
  let swallowed: readonly Buffer[] = [];
  let delayMs = 0;
  let bytesPerMs = Number.POSITIVE_INFINITY;
  /** Bytes from the target that may still pass; the connection is cut when they are used up. */
  let budget = Number.POSITIVE_INFINITY;
  /** The budgets after this one. */
  let budgets: readonly number[] = [];
  const cutAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  let taken = 0;
  /** Timers of one length keep their order. */
  const later = (write: () => void) => {
    if (delayMs === 0) write();
    else setTimeout(write, delayMs).unref();
  };
  const server = createServer((client) => {
    taken += 1;
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
    client.on('data', (chunk) => later(() => upstream.write(chunk)));
    upstream.on('data', (chunk) => later(() => pass(chunk)));
    const pass = (chunk: Buffer) => {
      if (swallowing) {
        swallowed = [...swallowed, chunk];
        return;
      }
      budget -= chunk.length;
      if (budget < 0) {
        // Part of a message arrives, as when a machine goes down in the middle of it.
        client.write(chunk.subarray(0, Math.max(0, chunk.length + budget)));
        [budget = Number.POSITIVE_INFINITY, ...budgets] = budgets;
        close();
      } else client.write(chunk);
      if (bytesPerMs === Number.POSITIVE_INFINITY) return;
      upstream.pause();
      setTimeout(() => upstream.resume(), chunk.length / bytesPerMs).unref();
    };
    if (silent) for (const socket of pair) socket.pause();
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return {
    endpoint: `${host}:${address.port}`,
    port: address.port,
    /** How many connections were made to it until now. */
    taken: () => taken,
    /** Takes what the target says out of the middle of connections: what TCP never does, and a fault of etcd's looks like. */
    swallow(on: boolean): void {
      swallowing = on;
      swallowed = [];
    },
    /** Whether this was among it, in one piece. */
    hasSwallowed: (text: string) => swallowed.some((chunk) => chunk.includes(text)),
    /** What the target says passes at this pace on each connection, in kB a second. */
    slow(pace: number): void {
      bytesPerMs = pace;
    },
    /** Everything arrives so many ms later, in both directions. */
    delay(ms: number): void {
      delayMs = ms;
    },
    /** Ends all connections; new ones are taken. */
    cut: cutAll,
    /** Ends the connection that brings the target's next `bytes`, and then the one that brings the next of `more`. */
    cutAfter(bytes: number, ...more: readonly number[]): void {
      budget = bytes;
      budgets = more;
    },
    /** How many cuts of `cutAfter` are still to come. */
    cutsLeft: () => (budget === Number.POSITIVE_INFINITY ? 0 : 1 + budgets.length),
    /**
     * Connections stay and nothing passes: a machine that is gone without a word. What was sent meanwhile arrives when it
     * is over, because TCP never loses a part from the middle of a connection.
     */
    blackHole(on: boolean): void {
      silent = on;
      for (const pair of pairs) {
        for (const socket of pair) {
          if (on) socket.pause();
          else socket.resume();
        }
      }
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
