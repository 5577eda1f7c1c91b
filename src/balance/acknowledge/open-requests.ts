import pLimit from 'p-limit';
import {
  type Ask,
  frontends,
  LoadReader,
  parseIdleClients,
  type ServerAt,
  type ServerLoad,
} from '../../haproxy/server-load.ts';

/** A server's requests in all of HAProxy's workers. */
export type OpenRequestCount = {
  readonly open: number;
  /** An old worker may send the server one more request although it drains. */
  readonly mayGrow: boolean;
};

/** The answer of one worker about a server; `load` is undefined when the worker does not have the server. */
export type WorkerSays = {
  readonly load: ServerLoad | undefined;
  /** The clients that could still send an old worker a request; undefined for the worker that serves. */
  readonly idleClients: number | undefined;
};

/**
 * Sums up the answers of all workers. An old worker takes no command to drain a server ("Proxy is disabled."), and a client with an
 * idle connection to it may send one more request, which the old worker sends by its old weights. So while an old worker has such
 * clients and would choose this server, another request may come.
 */
export function sumUp(workers: readonly WorkerSays[]): OpenRequestCount {
  let open = 0;
  let mayGrow = false;
  for (const { load, idleClients } of workers) {
    open += load?.open ?? 0;
    if (idleClients !== undefined && idleClients > 0 && load?.takesNew === true) mayGrow = true;
  }
  return { open, mayGrow };
}

export type Workers = {
  /** Asks the worker that serves. Rejects while there is none. */
  readonly current: Ask;
  /** The pids of the old workers. Rejects when the master does not answer. */
  readonly old: () => Promise<readonly number[]>;
  readonly askOld: (pid: number, commands: readonly string[]) => Promise<readonly string[]>;
};

/**
 * The master passes questions on, and takes few connections at once: with 25 old workers asked at the same time, `connect` fails with
 * EAGAIN.
 */
const askedAtOnce = 2;

/** Counts the open requests of servers, by asking all workers. */
export class RequestCounter {
  readonly #workers: Workers;
  readonly #current: LoadReader;
  readonly #old = new Map<number, LoadReader>();

  constructor(workers: Workers) {
    this.#workers = workers;
    this.#current = new LoadReader(workers.current);
  }

  /**
   * By `backend/server`. Rejects when the worker that serves, or the master, does not answer. While an old worker does not answer, a
   * server without an open request at another worker is left out, because its count is unknown.
   */
  async count(servers: readonly ServerAt[]): Promise<ReadonlyMap<string, OpenRequestCount>> {
    const [current, old] = await Promise.all([this.#current.read(servers), this.#countOld(servers)]);
    const answers = old.filter((one) => one !== undefined);
    const counts = new Map<string, OpenRequestCount>();
    for (const { backend, server } of servers) {
      const name = `${backend}/${server}`;
      const olds = answers.map(({ loads, idleClients }) => ({ load: loads.get(name), idleClients }));
      const sum = sumUp([{ load: current.get(name), idleClients: undefined }, ...olds]);
      if (answers.length === old.length) counts.set(name, sum);
      else if (sum.open > 0) counts.set(name, { ...sum, mayGrow: true });
    }
    return counts;
  }

  /** Undefined for a worker that did not answer. */
  async #countOld(servers: readonly ServerAt[]) {
    const pids = await this.#workers.old();
    for (const pid of this.#old.keys()) if (!pids.includes(pid)) this.#old.delete(pid);
    const inTurn = pLimit(askedAtOnce);
    const asked = await Promise.allSettled(pids.map((pid) => inTurn(() => this.#askOld(pid, servers))));
    if (asked.every(({ status }) => status === 'fulfilled')) return asked.map(answerOf);
    // A worker that ended meanwhile has no requests any more.
    const still = await this.#workers.old();
    return asked.filter((one, i) => one.status === 'fulfilled' || still.includes(pids[i] ?? -1)).map(answerOf);
  }

  async #askOld(pid: number, servers: readonly ServerAt[]) {
    const ask: Ask = (commands) => this.#workers.askOld(pid, commands);
    const reader = this.#old.get(pid) ?? new LoadReader(ask);
    this.#old.set(pid, reader);
    const loads = await reader.read(servers);
    return { loads, idleClients: parseIdleClients((await ask([frontends])).join('\n')) };
  }
}

const answerOf = <T>(one: PromiseSettledResult<T>): T | undefined =>
  one.status === 'fulfilled' ? one.value : undefined;
