import {
  type Ask,
  frontends,
  LoadReader,
  parseIdleClients,
  type ServerAt,
  type ServerLoad,
} from '../haproxy/server-load.ts';

/** A server's requests in all of HAProxy's workers. */
export type OpenRequests = {
  readonly open: number;
  /** One more may come although the server drains, by way of an old worker. */
  readonly mayGrow: boolean;
};

/** What one worker says of a server; `load` is undefined where it does not have that server. */
export type WorkerSays = {
  readonly load: ServerLoad | undefined;
  /** Of a worker of an earlier reload: how many clients could still send it a request. */
  readonly idleClients: number | undefined;
};

/**
 * Sums the workers up. A worker of an earlier reload cannot be told to drain a server ("Proxy is disabled."), and a
 * client whose connection idles there may send it one more request, which goes by the weights of that time. So while it
 * has such clients and would choose this server, no request open now does not mean none to come.
 */
export function sumUp(workers: readonly WorkerSays[]): OpenRequests {
  let open = 0;
  let mayGrow = false;
  for (const { load, idleClients } of workers) {
    open += load?.open ?? 0;
    if (idleClients !== undefined && idleClients > 0 && load?.takesNew === true) mayGrow = true;
  }
  return { open, mayGrow };
}

/** HAProxy's workers, as far as they can be asked. */
export type Workers = {
  /** The one that serves. Rejects while there is none. */
  readonly current: Ask;
  /** Those that still finish what began before a reload. Rejects while nobody knows. */
  readonly old: () => Promise<readonly number[]>;
  readonly askOld: (pid: number, commands: readonly string[]) => Promise<readonly string[]>;
};

/** Counts the open requests of servers, by asking all workers. */
export class RequestCounter {
  readonly #workers: Workers;
  readonly #current: LoadReader;
  readonly #old = new Map<number, LoadReader>();

  constructor(workers: Workers) {
    this.#workers = workers;
    this.#current = new LoadReader(workers.current);
  }

  /** By `backend/server`. Rejects when a worker does not answer: then nothing is known. */
  async count(servers: readonly ServerAt[]): Promise<ReadonlyMap<string, OpenRequests>> {
    const [current, old] = await Promise.all([this.#current.read(servers), this.#countOld(servers)]);
    const names = servers.map(({ backend, server }) => `${backend}/${server}`);
    return new Map(
      names.map((name) => {
        const olds = old.map(({ loads, idleClients }) => ({ load: loads.get(name), idleClients }));
        return [name, sumUp([{ load: current.get(name), idleClients: undefined }, ...olds])];
      }),
    );
  }

  async #countOld(servers: readonly ServerAt[]) {
    const { old, askOld } = this.#workers;
    const pids = await old();
    for (const pid of this.#old.keys()) if (!pids.includes(pid)) this.#old.delete(pid);
    return Promise.all(
      pids.map(async (pid) => {
        const reader = this.#old.get(pid) ?? new LoadReader((commands) => askOld(pid, commands));
        this.#old.set(pid, reader);
        const loads = await reader.read(servers);
        return { loads, idleClients: parseIdleClients((await askOld(pid, [frontends])).join('\n')) };
      }),
    );
  }
}
