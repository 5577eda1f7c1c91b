import { describe, Fault } from '../model/fault.ts';
import { unexpectedAnswer } from './answers.ts';
import { reusesConnections } from './known-faults.ts';
import { setMark } from './master.ts';
import type { WorkerLimits } from './open-files.ts';
import type { Abilities, PendingServers } from './plan.ts';
import { parseBackends, parseMap, parseServersState, type RunningState } from './running-state.ts';
import type { RuntimeConnection } from './runtime-connection.ts';
import type { ServerLine } from './server-line.ts';
import { readBackendTraffic, readServerTraffic, type ServerTraffic } from './stat.ts';
import {
  commandsOf,
  deleteBackendCommands,
  deleteCommand,
  newPlaceCommands,
  outcomeOf,
  publish,
  raise,
  type Step,
  type StepOutcome,
} from './step.ts';
import { pidIn, readWorker, type Worker, workerQuestions } from './worker.ts';
import { PlainMarking, plainMark, replacedMark } from './worker-marks.ts';
import { type Way, WorkerSocket, type WorkerSocketOptions } from './worker-socket.ts';

export type RuntimeLinkOptions = WorkerSocketOptions & {
  readonly routesMap: string;
  readonly onLost: (reason: string) => void;
  /** Called with the version of a worker when it differs from that of the worker before. */
  readonly onVersion?: (version: string) => void;
};

const answerMs = 10_000;
// The master holds the listening socket too: when the worker is dead, a connection is accepted and never answered.
const greetingMs = 300;
const connectMs = 5000;
// Another worker may listen on the socket for good. After a reload it does for some ms.
const insteadMs = 1000;
const reconnectMs = 20;
const mostAtOnce = 20_000;

/** A connection to a worker, with the pid of the worker. */
export type WorkerConnection = RuntimeConnection & { readonly workerPid: number };

/** The runtime API of the worker that serves now: connects to it, and speaks in steps. */
export class RuntimeLink {
  readonly #options: RuntimeLinkOptions;
  readonly #socket: WorkerSocket;
  readonly #marking: PlainMarking;
  /** The worker that it was connected to last. */
  #worker: Worker | undefined;
  #connection: RuntimeConnection | undefined;
  /** Counts closings, so that a connection that was being made meanwhile is not taken. */
  #generation = 0;

  constructor(options: RuntimeLinkOptions) {
    this.#options = options;
    this.#socket = new WorkerSocket(options);
    this.#marking = new PlainMarking((commands) => this.#run(commands), options.logger);
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** The pid of the worker; undefined while it is not connected. */
  get workerPid(): number | undefined {
    return this.#connection === undefined ? undefined : this.#worker?.pid;
  }

  /** The abilities of the worker that it was connected to last. */
  get abilities(): Abilities {
    return this.#worker?.abilities ?? { addBackend: false, deletes: false };
  }

  /** `3.2.26`, of the worker that it was connected to last; empty before. */
  get version(): string {
    return this.#worker?.version ?? '';
  }

  /** How many files and connections the worker that it was connected to last may have open. */
  get limits(): WorkerLimits | undefined {
    return this.#worker?.limits;
  }

  /** Whether servers that are added at run time reuse connections. */
  get reuses(): boolean {
    return reusesConnections(this.version);
  }

  /** The mark of the configuration that the worker was loaded from; undefined while the worker does not say. */
  get loadedFrom(): Worker['loadedFrom'] {
    return this.#connection === undefined ? undefined : this.#worker?.loadedFrom;
  }

  /** Whether requests wait while their service is paused, which takes Lua. */
  get canPause(): boolean {
    return this.#worker?.canPause ?? true;
  }

  /**
   * Connects to the worker with this pid. Just after a reload the old worker may still accept on the same path, so it is
   * asked who it is. Rejects with Fault `haproxy-runtime`.
   */
  async connect(workerPid: number, pause: (ms: number) => Promise<unknown>): Promise<void> {
    this.close();
    const generation = this.#generation;
    const begun = performance.now();
    const deadline = begun + connectMs;
    for (;;) {
      try {
        const connection = await this.#greet(workerPid, performance.now() - begun > insteadMs ? 'master' : 'socket');
        if (connection !== undefined && generation === this.#generation) {
          if (connection.throughMaster) {
            await setMark(this.#options.masterSocket, workerPid, plainMark(false), answerMs).catch((error: unknown) => {
              connection.close();
              throw error;
            });
          }
          this.#connection = connection;
          this.#marking.connected(connection);
          return;
        }
        connection?.close();
      } catch (error) {
        if (performance.now() > deadline) throw error;
        this.#options.logger.debug({ event: 'runtime-connect-retry', reason: describe(error) });
      }
      if (generation !== this.#generation || performance.now() > deadline) {
        throw new Fault('haproxy-runtime', `the worker ${workerPid} does not answer`, { where: this.#options.socket });
      }
      await pause(reconnectMs);
    }
  }

  /** A connection, if it is this worker that answers. */
  async #greet(workerPid: number, first: Way): Promise<RuntimeConnection | undefined> {
    let current: RuntimeConnection | undefined;
    const onLost = (reason: string) => {
      if (current === undefined || this.#connection !== current) return;
      this.#connection = undefined;
      this.#options.onLost(reason);
    };
    const connection = await this.#socket.open({ greetingMs, answerMs, onLost }, first);
    const worker = readWorker(await connection.run(workerQuestions), (error) =>
      this.#options.logger.debug({ event: 'mark-untold', reason: describe(error) }),
    );
    if (worker.pid !== workerPid) {
      connection.close();
      return undefined;
    }
    current = connection;
    const before = this.version;
    this.#worker = worker;
    if (worker.version !== before) this.#options.onVersion?.(worker.version);
    return connection;
  }

  /** Runs the steps in order, pipelined; one outcome a step. Rejects with Fault `haproxy-runtime`. */
  async execute(steps: readonly Step[]): Promise<readonly StepOutcome[]> {
    const commands = steps.map((step) => commandsOf(step, this.#options.routesMap));
    // All three are sent at once, because calls overlap. The worker looks for states before it gets one.
    const marking = this.#marking.beforeSteps(steps);
    const answering = this.#run(commands.flatMap((list) => list.map(({ text }) => text)));
    const [answers] = await Promise.all([answering, marking, this.#marking.afterSteps(steps)]);
    let next = 0;
    return commands.map((list) => {
      const own = answers.slice(next, next + list.length);
      next += list.length;
      return outcomeOf(list, own);
    });
  }

  /** Tries to delete servers whose removal is pending; returns those that are gone. */
  async deleteServers(pending: PendingServers): Promise<readonly string[]> {
    const names = [...pending.keys()];
    const commands = names.map((at) => {
      const slash = at.indexOf('/');
      return deleteCommand(at.slice(0, slash), at.slice(slash + 1));
    });
    const answers = await this.#run(commands.map(({ text }) => text));
    return names.filter((_, i) => commands[i]?.judge((answers[i] ?? '').trim()) === 'done');
  }

  /** Deletes backends that are empty; returns those that are gone. The others serve on. */
  async deleteBackends<Name extends string>(backends: readonly Name[]): Promise<readonly Name[]> {
    const gone: Name[] = [];
    for (const backend of backends) {
      const commands = deleteBackendCommands(backend);
      const outcome = outcomeOf(commands, await this.#run(commands.map(({ text }) => text)));
      if (outcome.kind === 'done') gone.push(backend);
      else await this.#run([publish(backend).text]);
    }
    return gone;
  }

  /** Reads the state of the worker, and tells the worker whether its map has states of services. */
  inspect(): Promise<RunningState> {
    return this.#marking.inspect(async () => {
      const [state = '', map = '', backends = ''] = await this.#run([
        'show servers state',
        `show map ${this.#options.routesMap}`,
        'show backend',
      ]);
      return { servers: parseServersState(state), routes: parseMap(map), backends: parseBackends(backends) };
    });
  }

  /** The servers of the worker, with their health. Rejects with Fault `haproxy-runtime`. */
  async serverStates(): Promise<RunningState['servers']> {
    const [state = ''] = await this.#run(['show servers state']);
    return parseServersState(state);
  }

  /** Lets a server take requests after its first check. Rejects with Fault `haproxy-runtime`. */
  async raise(backend: string, server: string): Promise<void> {
    const command = raise(backend, server);
    const [answer = ''] = await this.#run([command.text]);
    if (command.judge(answer.trim()) !== 'done') throw unexpectedAnswer(command.text, answer);
  }

  /** Gives servers a new place in the round robin of their backend. Rejects with Fault `haproxy-runtime`. */
  async renewPlaces(servers: readonly { readonly backend: string; readonly server: ServerLine }[]): Promise<void> {
    // A server that is not there any more is no problem: the next round or inspection knows.
    await this.#run(servers.flatMap(newPlaceCommands).map(({ text }) => text));
  }

  /** Tells the worker that it is connected to that another one serves instead. Rejects with Fault `haproxy-runtime`. */
  async tellReplaced(): Promise<void> {
    this.#marking.replaced();
    const { commands, isTaken } = replacedMark;
    const answers = (await this.#run(commands)).join('\n');
    if (!isTaken(answers)) throw unexpectedAnswer(commands.join('; '), answers);
  }

  /** Runs commands that change nothing. Rejects with Fault `haproxy-runtime`. */
  ask(commands: readonly string[]): Promise<readonly string[]> {
    return this.#run(commands);
  }

  /**
   * Another connection to the same worker, for work that must not hold up rounds, or end their connection. The caller closes
   * it. Rejects with Fault `haproxy-runtime` when that worker does not answer.
   */
  async aside(): Promise<WorkerConnection> {
    const { socket: path } = this.#options;
    const workerPid = this.workerPid;
    for (const first of ['socket', 'master'] as const) {
      const connection = await this.#socket.open({ greetingMs, answerMs, onLost: () => undefined }, first);
      try {
        const [info = ''] = await connection.run(['show info']);
        if (workerPid !== undefined && pidIn(info) === workerPid) return { ...connection, workerPid };
      } catch (error) {
        connection.close();
        throw error;
      }
      connection.close();
    }
    throw new Fault('haproxy-runtime', `the worker ${workerPid} does not answer`, { where: path });
  }

  /**
   * Whether some worker answers, asked on a connection of its own. Each step of it may take `patienceMs`. Rejects with
   * Fault `haproxy-runtime` when none does.
   */
  async mustAnswer(patienceMs: number): Promise<void> {
    (await this.#socket.open({ greetingMs: patienceMs, answerMs: patienceMs, onLost: () => undefined })).close();
  }

  /** The counts of HAProxy for each backend, or for these. */
  async backendTraffic(names: readonly string[] = ['-1']): Promise<ReturnType<typeof readBackendTraffic>> {
    return readBackendTraffic((await this.#run(names.map((name) => `show stat ${name} 2 -1`))).join('\n'));
  }

  /** The counts of HAProxy for each server of one backend; none: HAProxy has no such backend. */
  async serverTraffic(backend: string): Promise<ReadonlyMap<string, ServerTraffic>> {
    return readServerTraffic((await this.#run([`show stat ${backend} 4 -1`])).join('\n'));
  }

  /** Closes the connection, and drops one that is being made. */
  close(): void {
    this.#generation += 1;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** A connection takes a bounded number of commands at once. There may be more: a change may add 100,000 servers. */
  async #run(commands: readonly string[]): Promise<readonly string[]> {
    if (commands.length <= mostAtOnce) return commands.length === 0 ? [] : this.#current().run(commands);
    const answers: string[] = [];
    for (let from = 0; from < commands.length; from += mostAtOnce) {
      for (const answer of await this.#current().run(commands.slice(from, from + mostAtOnce))) answers.push(answer);
    }
    return answers;
  }

  #current(): RuntimeConnection {
    if (this.#connection !== undefined) return this.#connection;
    throw new Fault('haproxy-runtime', 'HAProxy is not connected', { where: this.#options.socket });
  }
}
