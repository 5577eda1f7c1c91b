import { createConnection, createServer, type Socket } from 'node:net';

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>;

type Pair = readonly [client: Socket, upstream: Socket];

/** The faults that a proxy makes now. */
type Faults = {
  refusing: boolean;
  silent: boolean;
  swallowing: boolean;
  swallowed: readonly Buffer[];
  delayMs: number;
  bytesPerMs: number;
  /** Bytes from the target that may still pass; the connection is cut when they are used up. */
  budget: number;
  /** The budgets after this one. */
  budgets: readonly number[];
};

/** A TCP proxy before one port, to do to connections what networks do. */
export async function startTcpProxy(target: number, host = '127.0.0.1', port = 0) {
  const pairs = new Set<Pair>();
  const faults: Faults = {
    ...{ refusing: false, silent: false, swallowing: false, swallowed: [], delayMs: 0 },
    ...{ bytesPerMs: Number.POSITIVE_INFINITY, budget: Number.POSITIVE_INFINITY, budgets: [] },
  };
  const cutAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  let taken = 0;
  const server = createServer((client) => {
    taken += 1;
    if (faults.refusing) client.destroy();
    else join(client, createConnection(target, '127.0.0.1'), faults, pairs);
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
      faults.swallowing = on;
      faults.swallowed = [];
    },
    /** Whether this was among it, in one piece. */
    hasSwallowed: (text: string) => faults.swallowed.some((chunk) => chunk.includes(text)),
    /** Passes the target's bytes on at this pace on each connection, in kB a second. */
    slow(pace: number): void {
      faults.bytesPerMs = pace;
    },
    /** Everything arrives so many ms later, in both directions. */
    delay(ms: number): void {
      faults.delayMs = ms;
    },
    /** Ends all connections; new ones are taken. */
    cut: cutAll,
    /** Ends the connection that brings the target's next `bytes`, and then the one that brings the next of `more`. */
    cutAfter(bytes: number, ...more: readonly number[]): void {
      faults.budget = bytes;
      faults.budgets = more;
    },
    /** How many cuts of `cutAfter` are still to come. */
    cutsLeft: () => (faults.budget === Number.POSITIVE_INFINITY ? 0 : 1 + faults.budgets.length),
    /**
     * Connections stay and nothing passes: a machine that is gone without a word. What was sent meanwhile arrives when it
     * is over, because TCP never loses a part from the middle of a connection.
     */
    blackHole(on: boolean): void {
      faults.silent = on;
      for (const pair of pairs) {
        for (const socket of pair) {
          if (on) socket.pause();
          else socket.resume();
        }
      }
    },
    refuse(on: boolean): void {
      faults.refusing = on;
      if (on) cutAll();
    },
    close(): Promise<void> {
      cutAll();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Passes everything between a client and the target, with the faults. */
function join(client: Socket, upstream: Socket, faults: Faults, pairs: Set<Pair>): void {
  const pair = [client, upstream] as const;
  pairs.add(pair);
  const close = () => {
    pairs.delete(pair);
    client.destroy();
    upstream.destroy();
  };
  // Timers of one length keep their order.
  const later = (write: () => void) => {
    if (faults.delayMs === 0) write();
    else setTimeout(write, faults.delayMs).unref();
  };
  const pass = (chunk: Buffer) => {
    if (faults.swallowing) {
      faults.swallowed = [...faults.swallowed, chunk];
      return;
    }
    faults.budget -= chunk.length;
    if (faults.budget < 0) {
      // Part of a message arrives, as when a machine goes down in the middle of it.
      client.write(chunk.subarray(0, Math.max(0, chunk.length + faults.budget)));
      [faults.budget = Number.POSITIVE_INFINITY, ...faults.budgets] = faults.budgets;
      close();
    } else client.write(chunk);
    if (faults.bytesPerMs === Number.POSITIVE_INFINITY) return;
    upstream.pause();
    setTimeout(() => upstream.resume(), chunk.length / faults.bytesPerMs).unref();
  };
  for (const socket of pair) socket.on('error', close).on('close', close);
  client.on('data', (chunk) => later(() => upstream.write(chunk)));
  upstream.on('data', (chunk) => later(() => pass(chunk)));
  if (faults.silent) for (const socket of pair) socket.pause();
}
