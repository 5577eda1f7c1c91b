import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import type { DemoAct } from '../settings/demo.ts';
import type { Start } from './child.ts';
import type { Colors } from './colors.ts';
import type { Instances } from './instances.ts';
import type { DemoTraffic } from './traffic.ts';

export type ActsParts = {
  readonly start: Start;
  readonly pointsman: readonly [string, ...string[]];
  readonly location: string;
  readonly admin: number;
  readonly instances: Instances;
  readonly traffic: Pick<DemoTraffic, 'total'>;
  readonly say: (text: string) => void;
  readonly colors: Colors;
  /** The instances that are always there. */
  readonly ids: readonly string[];
  /** Writes the policy of the service without a split. */
  readonly writePolicy: () => Promise<void>;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

const names: Readonly<Record<DemoAct, string>> = {
  deploy: 'rolling deploy',
  crash: 'crash',
  canary: 'canary',
};

/** What the demo shows on request, one act at a time. */
export class Acts {
  readonly #parts: ActsParts;
  #version = 1;
  #current: { readonly act: DemoAct; readonly done: Promise<void> } | undefined;

  constructor(parts: ActsParts) {
    this.#parts = parts;
  }

  /** The version of the instances that join now. */
  get version(): string {
    return `v${this.#version}`;
  }

  /** Resolves when the act that is under way has ended; undefined: there is none. */
  get current(): Promise<void> | undefined {
    return this.#current?.done;
  }

  /** Shows one. Resolves when it is over; rejects with a Fault when a command of it failed. */
  async show(act: DemoAct): Promise<void> {
    const { say, colors } = this.#parts;
    if (this.#current !== undefined) {
      say(colors.yellow(`the ${names[this.#current.act]} is not over yet`));
      return;
    }
    const done = this.#play(act).finally(() => {
      this.#current = undefined;
    });
    this.#current = { act, done };
    await done;
  }

  async #play(act: DemoAct): Promise<void> {
    const { say, colors, traffic, now, instances, ids } = this.#parts;
    const [before, began] = [traffic.total, now()];
    // Others would be of an older version.
    await Promise.all(instances.ids.filter((id) => !ids.includes(id)).map((id) => instances.leave(id)));
    await { deploy: () => this.#deploy(), crash: () => this.#crash(), canary: () => this.#canary() }[act]();
    const { answered, failed } = traffic.total;
    const bad = failed - before.failed;
    const counted = `${answered - before.answered} requests answered, ${bad} failed`;
    const took = formatDuration(Math.round((now() - began) / 100) * 100);
    say(`${colors.bold(`${names[act]} over after ${took}:`)} ${(bad === 0 ? colors.green : colors.red)(counted)}`);
  }

  async #deploy(): Promise<void> {
    const { say, colors, ids } = this.#parts;
    this.#version += 1;
    say(colors.bold(`rolling deploy of ${this.version}: one instance after the other`));
    for (const id of ids) await this.#replace(id);
  }

  async #replace(id: string): Promise<void> {
    const { instances } = this.#parts;
    await instances.leave(id);
    await instances.join(id, this.version);
    await this.#run('wait', `web/${id}`);
  }

  async #crash(): Promise<void> {
    const { instances, ids } = this.#parts;
    const id = ids[1] ?? 'web-2';
    await instances.crash(id);
    await this.#run('wait', `web/${id}`, '--gone');
    await instances.join(id, this.version);
    await this.#run('wait', `web/${id}`);
  }

  async #canary(): Promise<void> {
    const { instances, say, colors, ids, admin, writePolicy } = this.#parts;
    const id = 'canary';
    this.#version += 1;
    const { version } = this;
    say(colors.bold(`canary of ${version}: it starts without requests (pointsman pin web)`));
    await this.#run('pin', 'web');
    await instances.join(id, version);
    await this.#run('wait', `web/${id}`);
    say(colors.bold(`pointsman shift web --to ${version} --weight 10%,50%,100% --abort-if-errors 1%`));
    await this.#run('shift', 'web', '--to', version, '--weight', '10%,50%,100%', '--every', '5s',
      '--abort-if-errors', '1%', '--admin', `127.0.0.1:${admin}`); // biome-ignore format: a command line
    say(colors.bold(`${version} has all requests; the other instances follow`));
    for (const one of ids) await this.#replace(one);
    await writePolicy();
    await instances.leave(id);
  }

  /** Runs a command of pointsman and shows its lines. Rejects with a Fault when it fails. */
  async #run(name: string, ...args: readonly string[]): Promise<void> {
    const { start, pointsman, location, say, colors } = this.#parts;
    const lines: string[] = [];
    const child = start(name, [...pointsman, name, ...args, '--registry', location], (line) => {
      lines.push(line);
      say(colors.dim(`  ${line}`));
    });
    const how = await child.ended;
    if (how === 'exit code 0') return;
    throw new Fault('deadline', `pointsman ${name} ${args.join(' ')}: ${how}: ${lines.at(-1) ?? ''}`);
  }
}
