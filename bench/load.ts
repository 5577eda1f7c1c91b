import { createConnection, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** The results of the requests of a load. */
export type LoadResult = { readonly answered: number; readonly failed: number; readonly reasons: readonly string[] };

/**
 * Asks as fast as it is answered, on `connections` keep-alive connections, until stopped. A request counts as failed when
 * its connection ends without an answer, or its status is not 200.
 */
export function startLoad(
  port: number,
  host: string,
  connections: number,
  onFailure: (reason: string) => void = () => undefined,
): { stop(): Promise<LoadResult> } {
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const reasons = new Map<string, number>();
  let answered = 0;
  let failed = 0;
  let stopping = false;
  const fail = (reason: string) => {
    failed += 1;
    onFailure(reason);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  };
  const client = async () => {
    let socket: Socket | undefined;
    while (!stopping) {
      try {
        socket ??= await open(port);
        const answer = await ask(socket, request);
        if (/^connection: close/im.test(answer)) {
          socket.destroy();
          socket = undefined;
        }
        const status = answer.slice(9, 12);
        if (status === '200') answered += 1;
        else fail(`status ${status}`);
      } catch (error) {
        fail(error instanceof Error ? error.message : String(error));
        socket?.destroy();
        socket = undefined;
      }
      await turn();
    }
    socket?.destroy();
  };
  const clients = Array.from({ length: connections }, client);
  return {
    async stop() {
      stopping = true;
      await Promise.all(clients);
      return { answered, failed, reasons: [...reasons].map(([reason, count]) => `${count} × ${reason}`) };
    },
  };
}

export function ask(socket: Socket, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const over = () => socket.off('data', onData).off('error', onError).off('close', onClose);
    const onData = (chunk: Buffer) => {
      over();
      resolve(chunk.toString('latin1'));
    };
    const onError = (error: Error) => {
      over();
      reject(error);
    };
    const onClose = () => {
      over();
      reject(new Error('closed without an answer'));
    };
    socket.on('data', onData).on('error', onError).on('close', onClose);
    socket.write(request);
  });
}

export function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    socket.once('connect', () => resolve(socket)).once('error', reject);
  });
}
