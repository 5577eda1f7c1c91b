import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { type EngineAddress, formatEngineAddress } from '../model/engine-address.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import type { EngineEvent } from './container.ts';
import { type EngineApi, EngineRefusal, type EngineTime, type EventHandlers, type StopAnswer } from './engine-api.ts';
import { engineTimeOf } from './engine-time.ts';
import { EventLines } from './event-lines.ts';
import { readContainer, readEvent, readList } from './read-answer.ts';

/** The engine answers from memory; an inspection of 500 containers at once took 40 ms each. */
const deadlineMs = 10_000;
/**
 * Docker answers from memory. An agent that waited for longer than the time to live of its instances, 10 s by default, would lose them to
 * a proxy that does not answer.
 */
const pastDeadlineMs = 3000;
/** A list of 1000 containers has 3 MB. */
const longestAnswer = 64 * 1024 * 1024;

/**
 * The events that may change what is announced. Docker's word for the end of a container is `die`, podman's `died`. `exec_died` is
 * podman's alone: a HEALTHCHECK has ended.
 */
const events = [
  ...['start', 'restart', 'kill', 'die', 'died', 'stop', 'pause', 'unpause', 'health_status', 'exec_died'],
  ...['destroy', 'remove', 'rename', 'connect', 'disconnect'],
];
const eventsPath = `/events?filters=${filterOf({ type: ['container', 'network'], event: events })}`;
const killsPath = `/events?since=0&filters=${filterOf({ type: ['container'], event: ['kill'] })}`;

/** The engine's API over HTTP, on a unix socket or over TCP. */
export class HttpEngine implements EngineApi {
  readonly location: string;
  readonly #place: RequestOptions;
  readonly #isLocal: boolean;
  readonly #wall: () => number;

  /** `wall` is the time of day, in ms. */
  constructor(address: EngineAddress, wall: () => number = Date.now) {
    this.#isLocal = address.kind === 'unix';
    this.#wall = wall;
    this.location = formatEngineAddress(address);
    this.#place =
      address.kind === 'unix'
        ? { socketPath: address.path, headers: { host: 'docker' } }
        : { host: address.host, port: address.port };
  }

  async list({ all = false }: { readonly all?: boolean } = {}, signal?: AbortSignal) {
    const what = 'GET /containers/json';
    const answer = await this.#ask('GET', `/containers/json${all ? '?all=true' : ''}`, signal, deadlineMs);
    if (answer.status !== 200) throw this.#refusal(what, answer);
    return this.#understood(what, () => readList(JSON.parse(answer.text)));
  }

  async inspect(container: string, signal?: AbortSignal) {
    if (!isContainerName(container)) return undefined;
    const what = `GET /containers/${container}/json`;
    const answer = await this.#ask('GET', pathOf(container, 'json'), signal, deadlineMs);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.#refusal(what, answer);
    return this.#understood(what, () => readContainer(JSON.parse(answer.text)));
  }

  async events(handlers: EventHandlers, signal: AbortSignal): Promise<void> {
    try {
      await this.#stream(eventsPath, handlers, signal);
      // An engine never ends it by itself.
      throw this.#failure(new Error('the engine ended the stream of events'), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async pastKills(until: EngineTime, signal: AbortSignal): Promise<readonly EngineEvent[]> {
    const events: EngineEvent[] = [];
    const handlers = { onOpen: () => undefined, onEvent: (event: EngineEvent) => void events.push(event) };
    await this.#stream(`${killsPath}&until=${(until / 1000).toFixed(3)}`, handlers, signal, pastDeadlineMs);
    return events;
  }

  async kill(container: string, signalName: string, signal?: AbortSignal): Promise<boolean> {
    const path = pathOf(container, `kill?signal=${encodeURIComponent(signalName)}`);
    const answer = await this.#ask('POST', path, signal, deadlineMs);
    // 409: it does not run.
    if (answer.status === 404 || answer.status === 409) return false;
    if (answer.status >= 300) throw this.#refusal(`POST /containers/${container}/kill`, answer);
    return true;
  }

  async stop(
    container: string,
    { graceMs }: { readonly graceMs?: number } = {},
    signal?: AbortSignal,
  ): Promise<StopAnswer> {
    const time = graceMs === undefined ? '' : `?t=${Math.ceil(graceMs / 1000)}`;
    const answer = await this.#ask('POST', pathOf(container, `stop${time}`), signal);
    if (answer.status === 404) return 'absent';
    if (answer.status === 304) return 'did-not-run';
    if (answer.status >= 300) throw this.#refusal(`POST /containers/${container}/stop`, answer);
    return 'stopped';
  }

  async remove(container: string, signal?: AbortSignal): Promise<boolean> {
    const path = `/containers/${encodeURIComponent(container)}`;
    const answer = await this.#ask('DELETE', path, signal, deadlineMs);
    if (answer.status === 404) return false;
    if (answer.status >= 300) throw this.#refusal(`DELETE /containers/${container}`, answer);
    return true;
  }

  /** Resolves with the whole answer. Rejects with Fault `engine` when there is none, within `limitMs` if it is given. */
  #ask(method: string, path: string, signal: AbortSignal | undefined, limitMs?: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(this.#failure(error, signal));
      const asked = request({ ...this.#place, agent: false, method, path, ...(signal && { signal }) }, (answer) => {
        const parts: Buffer[] = [];
        let length = 0;
        answer.on('data', (part: Buffer) => {
          parts.push(part);
          length += part.length;
          if (length > longestAnswer) asked.destroy(new Error(`the answer is longer than ${longestAnswer} bytes`));
        });
        answer.on('error', fail);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
      });
      // Not a signal of its own: hundreds of requests may wait for their turn with one signal of the caller.
      const timer = limitMs === undefined ? undefined : setTimeout(() => asked.destroy(late(limitMs)), limitMs);
      asked.on('error', fail);
      asked.on('close', () => clearTimeout(timer));
      asked.end();
    });
  }

  /** Resolves when the engine has sent its whole answer. With `limitMs`, that is the limit of all of it, else of its beginning. */
  #stream(path: string, { onOpen, onEvent }: EventHandlers, signal: AbortSignal, limitMs?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(this.#failure(error, signal));
      const asked = request({ ...this.#place, agent: false, path, signal }, (answer) => {
        if (limitMs === undefined) clearTimeout(timer);
        if (answer.statusCode !== 200) {
          readStart(answer)
            .then((text) => fail(this.#refusal('GET /events', { status: answer.statusCode ?? 0, text })), fail)
            .finally(() => asked.destroy());
          return;
        }
        // A peer that vanished without a word is noticed in 30 s; the stream itself may be silent for days.
        answer.socket.setKeepAlive(true, 10_000);
        const lines = new EventLines((text) => {
          const event = readEvent(text);
          if (event !== undefined) onEvent(event);
        });
        answer.on('data', (part: Buffer) => lines.add(part));
        answer.on('end', () => resolve());
        answer.on('error', fail);
        answer.on('close', () => fail(new Error('the engine ended the stream of events')));
        onOpen({
          announcesStops: answer.headers['libpod-api-version'] === undefined,
          openedAt: engineTimeOf(answer.headers.date, this.#wall(), this.#isLocal),
        });
      });
      const mostMs = limitMs ?? deadlineMs;
      const timer = setTimeout(() => asked.destroy(late(mostMs)), mostMs);
      asked.on('error', fail);
      asked.on('close', () => clearTimeout(timer));
      asked.end();
    });
  }

  #understood<T>(what: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw new Fault('engine', `the answer to ${what} is not an engine's: ${describe(error)}`, {
        where: this.location,
      });
    }
  }

  #failure(error: Error, signal: AbortSignal | undefined): Error {
    if (error instanceof Fault) return error;
    if (signal?.aborted === true) return error;
    return new Fault('engine', describe(error), {
      where: this.location,
      hint: hints[errorCode(error) ?? ''],
      cause: error,
    });
  }

  #refusal(what: string, { status, text }: Answer): EngineRefusal {
    const said = messageOf(text);
    const hint =
      status === 403 || status === 405 ? 'a socket proxy, or an authorization plugin, does not allow it' : undefined;
    const message = `the engine answered ${status} to ${what}${said === undefined ? '' : `: ${said}`}`;
    return new EngineRefusal(status, message, { where: this.location, hint });
  }
}

const late = (limitMs: number): Error => new Error(`the engine did not answer within ${limitMs / 1000} s`);

type Answer = { readonly status: number; readonly text: string };

const hints: Readonly<Record<string, string>> = {
  ENOENT: 'does the engine run, and is this its socket?',
  ECONNREFUSED: 'does the engine run?',
  EACCES: 'this user may not use the socket: give it the group of the socket',
};

function filterOf(filters: Readonly<Record<string, readonly string[]>>): string {
  return encodeURIComponent(JSON.stringify(filters));
}

/** Whether a container can have this id or name. Engines answer with a redirection to a path that ends up elsewhere, as that of `..` does. */
export const isContainerName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text);

const pathOf = (container: string, rest: string): string => `/containers/${encodeURIComponent(container)}/${rest}`;

/** The engine's own words. A proxy answers with a page, which would say nothing. */
function messageOf(text: string): string | undefined {
  try {
    const json: unknown = JSON.parse(text);
    const message: unknown = typeof json === 'object' && json !== null ? Reflect.get(json, 'message') : undefined;
    return typeof message === 'string' && message !== '' ? message.slice(0, 300) : undefined;
  } catch {
    return undefined;
  }
}

/** The first bytes of an answer that is not what was asked for. */
async function readStart(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of answer.setEncoding('utf8')) {
    text += part;
    if (text.length > 4096) break;
  }
  return text;
}
