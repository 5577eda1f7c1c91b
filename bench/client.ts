import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { ask, open } from './load.ts';

/** A client with one keep-alive connection that asks as fast as it is answered: what sees a change first. */
export class Client {
  readonly #port: number;
  readonly #request: string;
  #socket: Socket | undefined;

  constructor(port: number, host: string) {
    this.#port = port;
    this.#request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  }

  /** One request. Answers are small and come in one piece. */
  async answer(): Promise<{ readonly status: number; readonly body: string }> {
    this.#socket ??= await open(this.#port);
    const answer = await ask(this.#socket, this.#request).catch((error: unknown) => {
      this.close();
      throw error;
    });
    if (/^connection: close/im.test(answer)) this.close();
    return { status: Number(answer.slice(9, 12)), body: answer.slice(answer.indexOf('\r\n\r\n') + 4) };
  }

  /** Asks until the status is the wanted one. Gives the time at which that answer was there. */
  async until(wanted: number, deadlineMs = 30_000): Promise<number> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const { status } = await this.answer().catch(() => ({ status: 0 }));
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
