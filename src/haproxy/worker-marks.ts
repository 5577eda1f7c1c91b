import type { Logger } from 'pino';
import { isStateKey } from '../model/route-target.ts';
import { unexpectedAnswer } from './answers.ts';
import type { RunningState } from './running-state.ts';
import type { Step } from './step.ts';

/** The variable that tells a worker that no service has a state. Without it each request looks for the state of its service. */
export const plainName = 'proc.pointsman_plain';

/** The keys of a route map that hold states. */
export type StateKeys = ReadonlySet<string>;

/** A variable of a worker: the commands that set it, and whether the worker took them, by its answers. */
export type Mark = { readonly commands: readonly string[]; readonly isTaken: (answers: string) => boolean };

/** Tells a worker whether no service has a state. */
export const plainMark = (plain: boolean): Mark => ({
  commands: ['experimental-mode on', `set var ${plainName} bool(${plain ? 1 : 0})`, `get var ${plainName}`],
  isTaken: (answers) => answers.includes(`value=<${plain ? 1 : 0}>`),
});

/** Whether a step gives a service a state. */
export const restricts = (step: Step): boolean =>
  (step.kind === 'add-route' || step.kind === 'set-route') && isStateKey(step.route);

/** The states of a worker that has run the steps. */
export function statesAfter(states: StateKeys, steps: readonly Step[]): StateKeys {
  const changes = steps.filter((step) => 'route' in step && isStateKey(step.route));
  if (changes.length === 0) return states;
  const after = new Set(states);
  for (const step of changes) {
    if (!('route' in step)) continue;
    if (step.kind === 'remove-route') after.delete(step.route);
    else after.add(step.route);
  }
  return after;
}

/** The states in a worker's route map. */
export const statesIn = (routes: ReadonlyMap<string, string>): StateKeys =>
  new Set([...routes.keys()].filter(isStateKey));

/** The variable that tells a worker that another worker serves instead. */
const replacedName = 'proc.pointsman_replaced';

/** Makes a worker pass on the requests that its clients still send. The worker looks for this mark only without the plain mark. */
export const replacedMark: Mark = {
  commands: [
    'experimental-mode on',
    `set var ${replacedName} bool(1)`,
    `set var ${plainName} bool(0)`,
    `get var ${replacedName}`,
    `get var ${plainName}`,
  ],
  isTaken: (answers) => answers.includes('value=<1>') && answers.includes('value=<0>'),
};

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
    const { commands, isTaken } = plainMark(plain);
    const answer = (await this.#run(commands)).at(-1) ?? '';
    if (isTaken(answer)) return;
    if (before === true) throw unexpectedAnswer(commands.join('; '), answer);
    this.#plain = false;
    this.#logger.debug({ event: 'plain-untold', answer: answer.slice(0, 200) });
  }
}
