import { closeSync, constants, createWriteStream, openSync, type WriteStream } from 'node:fs';
import { lstat, rm, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import type { Logger } from 'pino';
import type { HealthChange } from './health-change.ts';
import { apart } from './processes.ts';

const mostLines = 50;
/** Milliseconds until the last lines of an HAProxy that ended have arrived. */
const restMs = 500;

/** Called when HAProxy says that the health of a server changed, and without a change when it may have said so unheard. */
export type OnHealth = (change?: HealthChange) => void;

/**
 * Logs the lines that HAProxy prints, with its access log. It comes through a named pipe: HAProxy outlives
 * pointsman, and the next pointsman opens the same pipe and reads on. Between them HAProxy drops its lines, which
 * does it no harm.
 */
export class Output {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #onHealth: OnHealth;
  #reader: Socket | undefined;
  readonly #lastLines: string[] = [];

  constructor(path: string, logger: Logger, onHealth: OnHealth) {
    this.#path = path;
    this.#logger = logger;
    this.#onHealth = onHealth;
  }

  /** The newest lines, without those of the access log. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  forget(): void {
    this.#lastLines.length = 0;
  }

  /**
   * Opens the stream that the next HAProxy prints to. Call `given` when HAProxy has been started with it. Where no named
   * pipe can be made it is a pipe from each stream, for `follow`.
   */
  async open(): Promise<{ readonly to: WriteStream | 'pipe'; readonly given: () => void }> {
    if (!(await this.#make()) || !this.#openReader()) return { to: 'pipe', given: () => undefined };
    const fd = openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
    return {
      // execa gives the child the descriptor itself of a stream that has one.
      to: createWriteStream(this.#path, { fd, autoClose: false }),
      given: () => {
        // HAProxy has its own by now; with ours open the end of the last HAProxy would not be seen.
        closeSync(fd);
        this.#read();
      },
    };
  }

  /** Reads on the lines of an HAProxy that an earlier pointsman started. */
  async resume(masterPid: number): Promise<void> {
    // Somebody may have deleted the pipe, or its folder: HAProxy still has it open.
    const path = (await isPipe(this.#path)) ? this.#path : `/proc/${masterPid}/fd/1`;
    if ((await stat(path).catch(() => undefined))?.isFIFO() && this.#openReader(path)) {
      this.#read();
      this.#onHealth();
    }
  }

  /** Waits for the last lines of an HAProxy that has ended, for a bounded time. */
  async rest(): Promise<void> {
    const reader = this.#reader;
    if (reader === undefined || reader.closed) return;
    const closed = new Promise<void>((resolve) => reader.once('close', () => resolve()));
    await Promise.race([closed, pause(restMs, undefined, { ref: false })]);
  }

  close(): void {
    this.#reader?.destroy();
    this.#reader = undefined;
  }

  follow(stream: NodeJS.ReadableStream | null): void {
    if (stream === null) return;
    let pending = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (pending + chunk).split('\n');
      // A line without an end is not kept for ever.
      pending = (lines.pop() ?? '').slice(-16_384);
      for (const line of lines) if (line.trim() !== '') this.#tell(line);
    });
    stream.on('error', (error) => this.#logger.debug({ event: 'haproxy-output-lost', reason: error.message }));
  }

  async #make(): Promise<boolean> {
    if (await isPipe(this.#path)) return true;
    await rm(this.#path, { force: true });
    const made = await execa('mkfifo', ['-m', '600', this.#path], { ...apart, reject: false, timeout: 5000 });
    if (made.exitCode === 0) return true;
    const reason = made.shortMessage ?? 'mkfifo failed';
    this.#logger.debug({ event: 'haproxy-output-lost', reason }, 'the access log stops when this pointsman ends');
    return false;
  }

  #openReader(path = this.#path): boolean {
    this.close();
    try {
      // Without O_NONBLOCK, opening a named pipe waits until the other end is open.
      const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      this.#reader = new Socket({ fd, readable: true, writable: false });
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.debug({ event: 'haproxy-output-lost', reason });
      return false;
    }
  }

  #read(): void {
    this.follow(this.#reader ?? null);
  }

  #tell(line: string): void {
    const request = parseAccessLine(line);
    if (request !== undefined) {
      this.#logger.info(request, request.event);
      return;
    }
    this.#lastLines.push(line);
    if (this.#lastLines.length > mostLines) this.#lastLines.shift();
    const health = parseHealthLine(line);
    if (health === undefined) this.#logger[levelOf(line)]({ event: 'haproxy', line }, 'HAProxy says');
    else this.#onHealth(health);
  }
}

async function isPipe(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFIFO() ?? false;
}

function levelOf(line: string): 'debug' | 'info' | 'warn' {
  if (line.startsWith('[ALERT]')) return 'warn';
  // HAProxy also prints the lines about servers and backends that it logs, and each proxy of a worker that ends.
  return /^(\[|Server \S+ is |backend \S+ has no server|Proxy \S+ stopped )/.test(line) ? 'debug' : 'info';
}

/** A request or a connection that HAProxy logged, in the fields that haproxy.cfg.mustache gives it. */
export type AccessLine = { readonly event: 'request' | 'connection' } & Readonly<Record<string, string | number>>;

/** How a line of the access log begins, also one that was cut. */
const beginning = /^\{"event":"(re|co)/;

/**
 * Reads a line of HAProxy's output; undefined when it is not of the access log. One that cannot be read, such as one that
 * HAProxy cut, is kept as text: clients write a part of it, so it must not be taken for what HAProxy says.
 */
export function parseAccessLine(line: string): AccessLine | undefined {
  const [, letters] = beginning.exec(line) ?? [];
  if (letters === undefined) return undefined;
  const unread = { event: letters === 're' ? 'request' : 'connection', line } as const;
  try {
    const json: unknown = JSON.parse(line);
    return isAccessLine(json) ? json : unread;
  } catch {
    return unread;
  }
}

function isAccessLine(json: unknown): json is AccessLine {
  if (typeof json !== 'object' || json === null || !('event' in json)) return false;
  return json.event === 'request' || json.event === 'connection';
}

// HAProxy prints it itself and logs it: an own template may log nothing, or leave out what is good news. After a command that changed a
// server, HAProxy 2.6 begins all such lines with `CLI : `, whatever their cause.
const change =
  /^\[WARNING\] *\(\d+\) : (?:CLI : )?Server ([A-Za-z0-9._-]+)\/([A-Za-z0-9._:-]+) is (UP|DOWN)[,.] *(?:reason: (.*?))?(?:, check duration: .*|\. \d+ active .*)?$/;

/** Reads `[WARNING]  (7) : Server web/a is DOWN, reason: Layer4 timeout, check duration: …`; undefined for other lines. */
export function parseHealthLine(line: string): HealthChange | undefined {
  const [, service, id, state, result] = change.exec(line) ?? [];
  if (service === undefined || id === undefined) return undefined;
  return { to: state === 'UP' ? 'up' : 'down', service, id, result };
}
