import { unexpectedAnswer } from './answers.ts';
import { statRows } from './stat.ts';

/** A server, named as HAProxy does. */
export type ServerAt = { readonly backend: string; readonly server: string };

/** The connections and requests between a worker and a server. */
export type ServerLoad = {
  /** Requests (for TCP: connections) that are open or wait for it. */
  readonly open: number;
  /** Whether this worker would send it another one. */
  readonly takesNew: boolean;
};

/** Runs commands on one worker. The answers come in one piece, or in one for each command. */
export type Ask = (commands: readonly string[]) => Promise<readonly string[]>;

// Each answer has a heading of 1 to 3 KB, and a line of 0.5 KB a server.
const fewServers = 16;

/** Asks one worker for the load of servers. Remembers their ids, so that asking again costs one line for each. */
export class LoadReader {
  readonly #ask: Ask;
  readonly #ids = new Map<string, ReadonlyMap<string, string>>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** By `backend/server`. A server that the worker does not have is not in it. */
  async read(servers: readonly ServerAt[]): Promise<ReadonlyMap<string, ServerLoad>> {
    const loads = await this.#attempt(servers);
    // An id may mean another server by now; that one's load says nothing of ours.
    const moved = servers.filter((one) => this.#idOf(one) !== undefined && !loads.has(`${one.backend}/${one.server}`));
    if (moved.length === 0) return loads;
    for (const { backend } of moved) this.#ids.delete(backend);
    return this.#attempt(servers);
  }

  async #attempt(servers: readonly ServerAt[]): Promise<ReadonlyMap<string, ServerLoad>> {
    const counts = new Map<string, number>();
    for (const { backend } of servers) counts.set(backend, (counts.get(backend) ?? 0) + 1);
    const whole = [...counts].filter(([, count]) => count > fewServers).map(([backend]) => backend);
    const few = servers.filter(({ backend }) => !whole.includes(backend));
    const strange = new Set(few.filter((one) => this.#idOf(one) === undefined).map(({ backend }) => backend));
    if (strange.size > 0) {
      const answers = await this.#ask([...strange].map((backend) => `show servers conn ${backend}`));
      for (const backend of strange) this.#ids.set(backend, new Map());
      for (const [backend, ids] of parseServerIds(answers.join('\n'), strange.size)) this.#ids.set(backend, ids);
    }
    const commands = few.flatMap((one) => {
      const id = this.#idOf(one);
      return id === undefined ? [] : [`show stat ${one.backend} 4 ${id}`];
    });
    const all = whole.map((backend) => `show stat ${backend} 4 -1`);
    const questions = [...all, ...commands];
    return parseLoads((await this.#ask(questions)).join('\n'), questions.length);
  }

  #idOf({ backend, server }: ServerAt): string | undefined {
    return this.#ids.get(backend)?.get(server);
  }
}

/**
 * Reads so many answers to `show servers conn`: `web/a 3/1 …` a line, from 2.6 to 3.4. Throws a Fault `haproxy-runtime` for
 * anything but these and the one for a backend that HAProxy does not have.
 */
export function parseServerIds(answer: string, answers = 1): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const known = [...answer.matchAll(/^(# bkname\/svname |Can't find backend\.)/gm)];
  if (known.length < answers) throw unexpectedAnswer('show servers conn', answer);
  const backends = new Map<string, Map<string, string>>();
  for (const [, backend = '', server = '', id = ''] of answer.matchAll(/^([^/\s#]+)\/(\S+) \d+\/(\d+) /gm)) {
    const ids = backends.get(backend) ?? new Map<string, string>();
    backends.set(backend, ids.set(server, id));
  }
  return backends;
}

/** Reads so many answers to `show stat BACKEND 4 ID`. Throws a Fault `haproxy-runtime` for anything else. */
export function parseLoads(answer: string, answers = 1): ReadonlyMap<string, ServerLoad> {
  const loads = new Map<string, ServerLoad>();
  for (const cell of statRows(answer, answers)) {
    const open = Number(cell('scur')) + Number(cell('qcur'));
    if (cell('svname') === '' || !Number.isInteger(open)) continue;
    // A connection of TCP is one request: an old worker, which accepts none, gets no other.
    const chosen = Number(cell('weight')) > 0 && !/^(MAINT|DOWN|DRAIN)/.test(cell('status'));
    loads.set(`${cell('pxname')}/${cell('svname')}`, { open, takesNew: chosen && cell('mode') !== 'tcp' });
  }
  return loads;
}

/** All frontends of a worker. */
export const frontends = 'show stat -1 1 -1';

/**
 * How many clients are connected and could send a request, from the answer to `frontends`. One that speaks HTTP/1 counts
 * while none of its requests is open (a websocket stays open), one that speaks HTTP/2 always.
 */
export function parseIdleClients(answer: string): number {
  let clients = 0;
  for (const cell of statRows(answer)) {
    const [connections, streams] = [Number(cell('h1_open_connections')), Number(cell('h1_open_streams'))];
    clients += Math.max(0, connections - streams) + Number(cell('h2_open_connections'));
  }
  return clients;
}
