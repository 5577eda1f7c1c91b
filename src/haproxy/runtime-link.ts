import type { Logger } from 'pino';
import { errorCode } from '../model/error-code.ts';
import { describe, Fault } from '../model/fault.ts';
import { askMark, readMark } from './config-mark.ts';
import { deletesSafely, keepsFormerAddress, reusesConnections } from './known-faults.ts';
import { readProcesses, tellUnplain } from './master.ts';
import { readWorkerLimits, type WorkerLimits } from './open-files.ts';
import { isToldPlain, plainCommands, restricts, type StateKeys, statesAfter, statesIn } from './plain-mark.ts';
import type { Abilities, PendingServers } from './plan.ts';
import { isToldReplaced, replacedCommands } from './replaced-mark.ts';
import { parseBackends, parseMap, parseServersState, type RunningState } from './running-state.ts';
import { connectRuntime, type RuntimeConnection, type RuntimeOptions } from './runtime-connection.ts';
import { readBackendTraffic, readServerTraffic, type ServerTraffic } from './stat.ts';
import {
  commandsOf,
  deleteBackendCommands,
  deleteCommand,
  outcomeOf,
  publish,
  raise,
  type Step,
  type StepOutcome,
} from './step.ts';
import { unexpectedAnswer } from './unexpected-answer.ts';

export type RuntimeLinkOptions = {
  readonly socket: string;
  /** By which a worker is reached when nobody listens on its socket, where a master listens on this one. */
  readonly masterSocket: string;
  readonly routesMap: string;
  readonly logger: Logger;
  readonly onLost: (reason: string) => void;
  /** Told the version of a worker that it is connected to, where that is another one than before. */
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

/** By which socket a worker is tried to be reached first. */
type Way = 'socket' | 'master';

/** A connection to a worker, with whose it is. */
export type WorkerConnection = RuntimeConnection & { readonly workerPid: number };

const versionIn = (info: string): string => /^Version: (\S+)$/m.exec(info)?.[1] ?? '';

const pidIn = (info: string): number => Number(/^Pid: (\d+)$/m.exec(info)?.[1]);

/**
 * Whether nobody listens on the socket: somebody deleted it, or two reloads in a row failed. The second of them, since 3.1,
 * puts a socket of the worker that failed there.
 */
function isDeaf(error: unknown): boolean {
  const code = error instanceof Fault ? errorCode(error.cause) : undefined;
  return code === 'ENOENT' || code === 'ECONNREFUSED';
}

/** The runtime API of the worker that serves now: connects to it, and speaks in steps. */
export class RuntimeLink {
  readonly #options: RuntimeLinkOptions;
  #abilities: Abilities = { addBackend: false, deletes: false };
  #canPause = true;
  /** The states of services in the worker's map; undefined before the map was read. */
  #states: StateKeys | undefined;
  /** Whether the worker was told that there are none; undefined while an earlier pointsman may have told it. */
  #plain: boolean | undefined;
  /** Counts the steps that gave a service a state. */
  #restrictions = 0;
  #version = '';
  #loadedFrom: { readonly mark: string | undefined } | undefined;
  #limits: WorkerLimits | undefined;
  #connection: RuntimeConnection | undefined;
  #workerPid: number | undefined;
  /** Nobody listens on the socket, or another worker does. */
  #throughMaster = false;
  /** Counts closings, so that a connection that was being made meanwhile is not taken. */
  #generation = 0;

  constructor(options: RuntimeLinkOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Whom it speaks with; undefined while it is not connected. */
  get workerPid(): number | undefined {
    return this.#connection === undefined ? undefined : this.#workerPid;
  }

  /** What the worker that it was connected to last can do. */
  get abilities(): Abilities {
    return this.#abilities;
  }

  /** `3.2.26`, of the worker that it was connected to last; empty before. */
  get version(): string {
    return this.#version;
  }

  /** What the worker that it was connected to last may have open. */
  get limits(): WorkerLimits | undefined {
    return this.#limits;
  }

  /** Whether servers that are added at run time reuse connections. */
  get reuses(): boolean {
    return reusesConnections(this.#version);
  }

  /** The mark of the configuration that the worker was loaded from; undefined while the worker does not say. */
  get loadedFrom(): { readonly mark: string | undefined } | undefined {
    return this.#connection === undefined ? undefined : this.#loadedFrom;
  }

  /** Whether requests wait while their service is paused, which takes Lua. */
  get canPause(): boolean {
    return this.#canPause;
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
            await tellUnplain(this.#options.masterSocket, workerPid, answerMs).catch((error: unknown) => {
              connection.close();
              throw error;
            });
          }
          this.#connection = connection;
          this.#workerPid = workerPid;
          this.#states = undefined;
          this.#plain = connection.throughMaster ? false : undefined;
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
    const connection = await this.#open({ greetingMs, answerMs, onLost }, first);
    const questions = ['show info', 'help add backend', 'show env POINTSMAN_PAUSE', askMark];
    const [info = '', help = '', pausing = '', mark = ''] = await connection.run(questions);
    if (pidIn(info) !== workerPid) {
      connection.close();
      return undefined;
    }
    current = connection;
    this.#loadedFrom = this.#readMark(mark);
    this.#limits = readWorkerLimits(info);
    const version = versionIn(info);
    if (version !== this.#version) this.#options.onVersion?.(version);
    this.#version = version;
    this.#abilities = {
      addBackend: /^\s*add backend /m.test(help),
      deletes: deletesSafely(this.#version),
      keepsFormerAddress: keepsFormerAddress(this.#version),
    };
    this.#canPause = !pausing.includes('POINTSMAN_PAUSE=impossible');
    return connection;
  }

  #readMark(answer: string): { readonly mark: string | undefined } | undefined {
    try {
      return { mark: readMark(answer) };
    } catch (error) {
      // An own template may give the socket a lower level.
      this.#options.logger.debug({ event: 'mark-untold', reason: describe(error) });
      return undefined;
    }
  }

  /** Runs the steps in order, pipelined; one outcome a step. Rejects with Fault `haproxy-runtime`. */
  async execute(steps: readonly Step[]): Promise<readonly StepOutcome[]> {
    const commands = steps.map((step) => commandsOf(step, this.#options.routesMap));
    // All is sent at once, because calls overlap. The worker looks for states before it gets one.
    const told: Promise<void>[] = [];
    if (steps.some(restricts)) {
      this.#restrictions += 1;
      if (this.#plain !== false) told.push(this.#tellPlain(false));
    }
    const answering = this.#run(commands.flatMap((list) => list.map(({ text }) => text)));
    this.#states = this.#states && statesAfter(this.#states, steps);
    if (this.#states?.size === 0 && this.#plain !== true && !this.#connection?.throughMaster)
      told.push(this.#tellPlain(true));
    const [answers] = await Promise.all([answering, ...told]);
    let next = 0;
    return commands.map((list) => {
      const own = answers.slice(next, next + list.length);
      next += list.length;
      return outcomeOf(list, own);
    });
  }

  /**
   * Tells the worker whether no service has a state. Where an own template gives the socket a lower level, the worker takes neither this
   * nor the opposite, and looks for states with each request. Rejects with Fault `haproxy-runtime` when it took the opposite only.
   */
  async #tellPlain(plain: boolean): Promise<void> {
    const before = this.#plain;
    this.#plain = plain;
    const answer = (await this.#run(plainCommands(plain))).at(-1) ?? '';
    if (isToldPlain(plain, answer)) return;
    if (before === true) throw unexpectedAnswer(plainCommands(plain).join('; '), answer);
    this.#plain = false;
    this.#options.logger.debug({ event: 'plain-untold', answer: answer.slice(0, 200) });
  }

  /** Tries to delete servers that linger; gives those that are gone now. */
  async deleteServers(pending: PendingServers): Promise<readonly string[]> {
    const names = [...pending.keys()];
    const commands = names.map((at) => {
      const slash = at.indexOf('/');
      return deleteCommand(at.slice(0, slash), at.slice(slash + 1));
    });
    const answers = await this.#run(commands.map(({ text }) => text));
    return names.filter((_, i) => commands[i]?.judge((answers[i] ?? '').trim()) === 'done');
  }

  /** Has HAProxy forget backends that are empty; gives those that are gone now. One that is not serves on. */
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

  /** What the worker really runs. Tells the worker whether its map holds states of services. */
  async inspect(): Promise<RunningState> {
    const restrictions = this.#restrictions;
    const [state = '', map = '', backends = ''] = await this.#run([
      'show servers state',
      `show map ${this.#options.routesMap}`,
      'show backend',
    ]);
    const routes = parseMap(map);
    if (restrictions === this.#restrictions) {
      this.#states = statesIn(routes);
      const plain = this.#states.size === 0;
      if (plain !== this.#plain && !this.#connection?.throughMaster) await this.#tellPlain(plain);
    }
    return { servers: parseServersState(state), routes, backends: parseBackends(backends) };
  }

  /** The servers of the worker, with their health. Rejects with Fault `haproxy-runtime`. */
  async serverStates(): Promise<RunningState['servers']> {
    const [state = ''] = await this.#run(['show servers state']);
    return parseServersState(state);
  }

  /** Has a server take requests that passed its first check. Rejects with Fault `haproxy-runtime`. */
  async raise(backend: string, server: string): Promise<void> {
    const command = raise(backend, server);
    const [answer = ''] = await this.#run([command.text]);
    if (command.judge(answer.trim()) !== 'done') throw unexpectedAnswer(command.text, answer);
  }

  /** Tells the worker that it is connected to that another one serves instead. Rejects with Fault `haproxy-runtime`. */
  async tellReplaced(): Promise<void> {
    this.#states = undefined;
    this.#plain = false;
    const answers = await this.#run(replacedCommands);
    if (!isToldReplaced(answers.join('\n'))) throw unexpectedAnswer(replacedCommands.join('; '), answers.join('\n'));
  }

  /** Runs commands that change nothing, and gives their answers. Rejects with Fault `haproxy-runtime`. */
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
      const connection = await this.#open({ greetingMs, answerMs, onLost: () => undefined }, first);
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
    (await this.#open({ greetingMs: patienceMs, answerMs: patienceMs, onLost: () => undefined })).close();
  }

  /** What HAProxy counts of each backend. */
  async backendTraffic(): Promise<ReturnType<typeof readBackendTraffic>> {
    return readBackendTraffic((await this.#run(['show stat -1 2 -1'])).join('\n'));
  }

  /** What HAProxy counts of each server of one backend; none when it has no such backend. */
  async serverTraffic(backend: string): Promise<ReadonlyMap<string, ServerTraffic>> {
    return readServerTraffic((await this.#run([`show stat ${backend} 4 -1`])).join('\n'));
  }

  /** Lets go of the connection, and of one that is just being made. */
  close(): void {
    this.#generation += 1;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /**
   * A connection to a worker: on its socket, or through the master while nobody listens there. A reload need not make the
   * socket again, for the new worker takes it over from the old one.
   */
  async #open(
    options: Omit<RuntimeOptions, 'path' | 'throughMaster'>,
    first: Way = 'socket',
  ): Promise<RuntimeConnection> {
    const { socket: path, masterSocket, logger } = this.#options;
    const worker = first === 'master' ? (await readProcesses(masterSocket, options.greetingMs))?.workerPid : undefined;
    if (worker !== undefined) return connectRuntime({ path: masterSocket, throughMaster: worker, ...options });
    try {
      const connection = await connectRuntime({ path, ...options });
      this.#throughMaster = false;
      return connection;
    } catch (error) {
      if (!isDeaf(error)) throw error;
      const worker = (await readProcesses(masterSocket, options.greetingMs))?.workerPid;
      if (worker === undefined) throw error;
      const connection = await connectRuntime({ path: masterSocket, throughMaster: worker, ...options });
      if (!this.#throughMaster) {
        logger.warn(
          { event: 'runtime-socket-missing', socket: path },
          "nobody listens on HAProxy's socket, which somebody deleted or a failed reload replaced: its worker is spoken with through the master's; a restart of HAProxy makes it again",
        );
      }
      this.#throughMaster = true;
      return connection;
    }
  }

  /** A connection takes a bounded number at once; there may be more, as when a reload would bring 100,000 servers. */
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
