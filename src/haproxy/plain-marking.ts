import type { Logger } from 'pino';
import { isToldPlain, plainCommands, restricts, type StateKeys, statesAfter, statesIn } from './plain-mark.ts';
import type { RunningState } from './running-state.ts';
import type { Step } from './step.ts';
import { unexpectedAnswer } from './unexpected-answer.ts';

/** Keeps the plain mark of a worker up to date: the worker looks for states of services only while a service has one. */
export class PlainMarking {
  readonly #run: (commands: readonly string[]) => Promise<readonly string[]>;
  readonly #logger: Logger;
  /** The states of services in the worker's map; undefined before the map was read. */
  #states: StateKeys | undefined;
  /** The mark of the worker; undefined while an earlier pointsman may have set it. */
  #plain: boolean | undefined;
  /** Counts the batches of steps that gave a service a state. */
  #restrictions = 0;
  /** The master does not pass the commands on, so the worker looks for states with each request. */
  #throughMaster = false;

  constructor(run: (commands: readonly string[]) => Promise<readonly string[]>, logger: Logger) {
    this.#run = run;
    this.#logger = logger;
  }

  /** Begins again, with another worker. */
  connected({ throughMaster }: { readonly throughMaster: boolean }): void {
    this.#states = undefined;
    this.#plain = throughMaster ? false : undefined;
    this.#throughMaster = throughMaster;
  }

  /** The commands that mark the worker as replaced have removed its plain mark. */
  replaced(): void {
    this.#states = undefined;
    this.#plain = false;
  }

  /** Sends the mark that has to reach the worker before these steps do. */
  async beforeSteps(steps: readonly Step[]): Promise<void> {
    if (!steps.some(restricts)) return;
    this.#restrictions += 1;
    if (this.#plain !== false) await this.#mark(false);
  }

  /** Sends the mark that these steps lead to. They have been sent, and need not be answered yet. */
  async afterSteps(steps: readonly Step[]): Promise<void> {
    this.#states = this.#states && statesAfter(this.#states, steps);
    if (this.#states?.size === 0 && this.#plain !== true && !this.#throughMaster) await this.#mark(true);
  }

  /** Reads a worker's state by `read`, and sets the mark by it, unless steps gave a service a state meanwhile. */
  async inspect(read: () => Promise<RunningState>): Promise<RunningState> {
    const restrictions = this.#restrictions;
    const running = await read();
    if (restrictions !== this.#restrictions) return running;
    this.#states = statesIn(running.routes);
    const plain = this.#states.size === 0;
    if (plain !== this.#plain && !this.#throughMaster) await this.#mark(plain);
    return running;
  }

  /**
   * Where an own template gives the socket a lower level, the worker refuses both marks, and looks for states with each request.
   * Rejects with Fault `haproxy-runtime` when the worker took `true` before and refuses `false`.
   */
  async #mark(plain: boolean): Promise<void> {
    const before = this.#plain;
    this.#plain = plain;
    const answer = (await this.#run(plainCommands(plain))).at(-1) ?? '';
    if (isToldPlain(plain, answer)) return;
    if (before === true) throw unexpectedAnswer(plainCommands(plain).join('; '), answer);
    this.#plain = false;
    this.#logger.debug({ event: 'plain-untold', answer: answer.slice(0, 200) });
  }
}
