import { createConnection, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** A client with one keep-alive connection that asks as fast as it is answered: what sees a change first. */
export class Client {
  readonly #port: number;
  readonly #request: string;
  #socket: Socket | undefined;

  constructor(port: number, host: string) {
    this.#port = port;
    this.#request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  }

  /** One request's status. Answers are small and come in one piece. */
  async ask(): Promise<number> {
    this.#socket ??= await open(this.#port);
    const socket = this.#socket;
    const answer = await new Promise<string>((resolve, reject) => {
      const done = (text: string) => {
        socket.off('error', reject).off('close', closed);
        resolve(text);
      };
      const closed = () => reject(new Error('the connection was closed'));
      socket.once('data', (chunk: Buffer) => done(chunk.toString('latin1')));
      socket.once('error', reject).once('close', closed);
      socket.write(this.#request);
    });
    if (/^connection: close/im.test(answer)) this.close();
    return Number(answer.slice(9, 12));
  }

  /** Asks until the status is the wanted one. Gives the time at which that answer was there. */
  async until(wanted: number, deadlineMs = 30_000): Promise<number> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const status = await this.ask().catch(() => {
        this.close();
        return 0;
      });
      const now = performance.now();
      if (status === wanted) return now;
      if (now > deadline) throw new Error(`no answer ${wanted} within ${deadlineMs} ms, last ${status}`);
      // The etcd answer that starts the clock is read in this process, too.
      await turn();
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    socket.once('connect', () => resolve(socket)).once('error', reject);
  });
}
