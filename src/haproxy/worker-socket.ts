import type { Logger } from 'pino';
import { errorCode, Fault } from '../model/fault.ts';
import { readProcesses } from './master.ts';
import { connectRuntime, type RuntimeConnection, type RuntimeOptions } from './runtime-connection.ts';

export type WorkerSocketOptions = {
  readonly socket: string;
  /** The master listens on this socket, if there is one. It passes commands on to a worker on whose socket nobody listens. */
  readonly masterSocket: string;
  readonly logger: Logger;
};

/** The socket that is tried first. */
export type Way = 'socket' | 'master';

/**
 * Opens connections to a worker: on its socket, or through the master while nobody listens there. A reload need not make the
 * socket again, because the new worker takes it over from the old one.
 */
export class WorkerSocket {
  readonly #options: WorkerSocketOptions;
  /** Whether the last connection went through the master because nobody listened on the socket. */
  #isDeaf = false;

  constructor(options: WorkerSocketOptions) {
    this.#options = options;
  }

  async open(
    options: Omit<RuntimeOptions, 'path' | 'throughMaster'>,
    first: Way = 'socket',
  ): Promise<RuntimeConnection> {
    const { socket: path, logger } = this.#options;
    const connection = first === 'master' ? await this.#openThroughMaster(options) : undefined;
    if (connection !== undefined) return connection;
    try {
      const direct = await connectRuntime({ path, ...options });
      this.#isDeaf = false;
      return direct;
    } catch (error) {
      const instead = isDeaf(error) ? await this.#openThroughMaster(options) : undefined;
      if (instead === undefined) throw error;
      if (!this.#isDeaf) {
        logger.warn(
          { event: 'runtime-socket-missing', socket: path },
          "HAProxy does not listen on its socket, because it was deleted or a failed reload replaced it: pointsman reaches the worker through the master's socket; a restart of HAProxy creates the socket again",
        );
      }
      this.#isDeaf = true;
      return instead;
    }
  }

  /**
   * Undefined when the master does not answer, or has no worker that goes on. A worker that others asked to end softly has closed its
   * socket, too, and waits for its connections to end: pointsman's would keep it.
   */
  async #openThroughMaster(
    options: Omit<RuntimeOptions, 'path' | 'throughMaster'>,
  ): Promise<RuntimeConnection | undefined> {
    const { masterSocket: path } = this.#options;
    const throughMaster = (await readProcesses(path, options.greetingMs))?.workerPid;
    if (throughMaster === undefined) return undefined;
    const connection = await connectRuntime({ path, throughMaster, ...options });
    const [info = ''] = await connection.run(['show info']).catch((error: unknown) => {
      connection.close();
      throw error;
    });
    if (!stops(info)) return connection;
    connection.close();
    return undefined;
  }
}

/** Whether a worker finishes its connections and then ends, by its answer to `show info`. */
const stops = (info: string): boolean => /^Stopping: 1$/m.test(info);

/**
 * Whether no process listens on the socket: somebody deleted it, or two reloads in a row failed. The second of them, since 3.1,
 * puts a socket of the worker that failed there.
 */
function isDeaf(error: unknown): boolean {
  const code = error instanceof Fault ? errorCode(error.cause) : undefined;
  return code === 'ENOENT' || code === 'ECONNREFUSED';
}
