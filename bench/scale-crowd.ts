import { acknowledgeEveryMs } from '../src/balance/acknowledge/acknowledge-pace.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { catalogKeys, type Registry, type RegistryEvent, type Session } from '../src/registry/registry.ts';
import { root } from './ways.ts';

// Many followers or agents in one process, because 200 processes of Node do not fit on two cores. Each has a registry, and so
// connections, of its own, as a process has that runs `balance` or `register`. Times are ms of the monotonic clock, which all
// processes of a machine share.

export type Request =
  /** Followers begin. Answered when each has its snapshot. */
  | { readonly kind: 'follow'; readonly endpoints: readonly string[]; readonly names: readonly string[] }
  /** From now on each acknowledges what it sees, as a balancer does. */
  | { readonly kind: 'acknowledge'; readonly endpoints: readonly string[]; readonly balancers: number }
  /** Answered when each is connected, and was told everything up to the revision. */
  | { readonly kind: 'reach'; readonly revision: string }
  /** When the last follower saw each revision since this was asked before, and how often one was disconnected. */
  | { readonly kind: 'seen' }
  /** Answered with what this process has cost until now, as every request is. */
  | { readonly kind: 'cost' }
  /** Agents begin: each registers its instances under one lease. Answered when all stand. */
  | {
      readonly kind: 'register';
      readonly endpoints: readonly string[];
      /** The beginning of the ids of their instances. */
      readonly name: string;
      readonly agents: number;
      readonly each: number;
    }
  /** The agents change this many instances, one each `everyMs` or as fast as they can. Answered with each change. */
  | { readonly kind: 'change'; readonly count: number; readonly everyMs?: number }
  | { readonly kind: 'end' };

/** A revision, and when something happened to it. */
export type At = readonly [revision: string, at: number];
export type Answer = {
  readonly at: number;
  readonly revisions?: readonly At[];
  readonly disconnected?: number;
  /** Seconds of processor time of this process until now. */
  readonly cpu: number;
};

export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

// As a balancer's: src/balance/acknowledge/fleet-key.ts.
const ttlMs = 10_000;
// Of all agents of one process.
const puttingAtOnce = 64;

class Followed {
  readonly name: string;
  readonly registry: Registry;
  readonly #onChange: () => void;
  readonly #seen: (revision: bigint) => void;
  revision = 0n;
  connected = false;
  disconnected = 0;
  #session: Session | undefined;
  #everyMs = 0;
  #nextAt = 0;
  #saying = false;
  #dirty = false;

  constructor(
    name: string,
    endpoints: readonly string[],
    parts: { readonly onChange: () => void; readonly seen: (revision: bigint) => void },
  ) {
    this.name = name;
    this.#onChange = parts.onChange;
    this.#seen = parts.seen;
    this.registry = openEtcdRegistry({ endpoints, root });
    this.registry.follow((event) => this.#take(event), catalogKeys);
  }

  acknowledge(endpoints: readonly string[], everyMs: number): void {
    this.#everyMs = everyMs;
    const direct = openEtcdRegistry({ endpoints, root });
    this.#session = direct.openSession({ ttlMs, mayReplace: () => true, onEvent: () => undefined });
  }

  #take(event: RegistryEvent): void {
    switch (event.kind) {
      case 'changes':
        for (const change of event.changes) this.#seen(change.kind === 'put' ? change.entry.revision : change.revision);
        this.revision = event.revision;
        this.#dirty = true;
        void this.#say();
        break;
      case 'snapshot':
      case 'progress':
        this.revision = event.revision;
        break;
      case 'connected':
        this.connected = true;
        break;
      case 'disconnected':
        this.connected = false;
        this.disconnected += 1;
        break;
    }
    this.#onChange();
  }

  async #say(): Promise<void> {
    if (this.#session === undefined || this.#saying) return;
    this.#saying = true;
    while (this.#dirty) {
      const wait = this.#nextAt - now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      this.#nextAt = now() + this.#everyMs * (0.75 + Math.random() / 2);
      this.#dirty = false;
      const value = {
        revision: String(this.revision),
        haproxyVersion: '3.2.4',
        owner: this.name,
        appliedAt: new Date(),
      };
      await this.#session.put(`balancers/${this.name}`, JSON.stringify(value)).catch(() => undefined);
    }
    this.#saying = false;
  }
}

/** Instances that agents of this process registered. */
class Agents {
  readonly #name: string;
  readonly #each: number;
  readonly #sessions: readonly Session[];
  #changed = 0;

  constructor({ endpoints, name, agents, each }: Extract<Request, { kind: 'register' }>) {
    this.#name = name;
    this.#each = each;
    this.#sessions = Array.from({ length: agents }, () =>
      openEtcdRegistry({ endpoints, root }).openSession({ ttlMs, mayReplace: () => false, onEvent: () => undefined }),
    );
  }

  async register(): Promise<void> {
    const agents = this.#sessions.length;
    await inLanes(puttingAtOnce, agents * this.#each, async (n) => {
      await this.#put(n % agents, Math.floor(n / agents), 100);
    });
  }

  /** Changes this many instances. Gives each revision, and when its change began. */
  async change({ count, everyMs }: Extract<Request, { kind: 'change' }>): Promise<readonly At[]> {
    const revisions: At[] = [];
    const began = now();
    await inLanes(everyMs === undefined ? puttingAtOnce : 1, count, async (n) => {
      const wait = everyMs === undefined ? 0 : began + n * everyMs - now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const at = this.#changed + n;
      const changedAt = now();
      const i = Math.floor(at / this.#sessions.length) % this.#each;
      const revision = await this.#put(at % this.#sessions.length, i, 1 + (at % 99));
      revisions.push([String(revision), changedAt]);
    });
    this.#changed += count;
    return revisions;
  }

  #put(agent: number, i: number, weight: number): Promise<unknown> {
    const key = `instances/service-${agent % 50}/${this.#name}-${agent}-${i}`;
    const value = JSON.stringify({ address: `10.${Math.floor(agent / 250)}.${agent % 250}.${1 + (i % 250)}`, port: 8080, weight, version: '1.14.2', zone: 'a', owner: `0b3a6f5e-host-${agent}` }); // biome-ignore format: one value
    return this.#sessions[agent]?.put(key, value) ?? Promise.reject(new Error('no such agent'));
  }
}

/** Runs 0, 1, … below `count` in so many lanes, each one after the other. */
async function inLanes(lanes: number, count: number, run: (n: number) => Promise<void>): Promise<void> {
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let n = lane; n < count; n += lanes) await run(n);
    }),
  );
}

/** Answers the requests of the process that forked this one, until it ends it. */
export function standInCrowd(): void {
  const followers: Followed[] = [];
  let agents: Agents | undefined;
  let waiting: (() => boolean) | undefined;
  let seen = new Map<bigint, { count: number; at: number }>();

  const answer = (more: Partial<Answer> = {}) => {
    const { user, system } = process.cpuUsage();
    process.send?.({ at: now(), cpu: (user + system) / 1e6, ...more } satisfies Answer);
  };
  const answerWhen = (condition: () => boolean) => {
    waiting = condition;
    check();
  };
  const check = () => {
    if (waiting?.() !== true) return;
    waiting = undefined;
    answer();
  };
  const see = (revision: bigint) => {
    const one = seen.get(revision) ?? { count: 0, at: 0 };
    one.count += 1;
    one.at = now();
    seen.set(revision, one);
  };

  const act = async (request: Request): Promise<void> => {
    switch (request.kind) {
      case 'follow':
        for (const name of request.names)
          followers.push(new Followed(name, request.endpoints, { onChange: check, seen: see }));
        return answerWhen(() => followers.every(({ revision }) => revision > 0n));
      case 'acknowledge':
        for (const one of followers) one.acknowledge(request.endpoints, acknowledgeEveryMs(request.balancers));
        return answer();
      case 'reach':
        return answerWhen(() =>
          followers.every(({ connected, revision }) => connected && revision >= BigInt(request.revision)),
        );
      case 'seen': {
        const whole = [...seen].filter(([, { count }]) => count === followers.length);
        seen = new Map();
        const disconnected = followers.reduce((sum, one) => sum + one.disconnected, 0);
        for (const one of followers) one.disconnected = 0;
        return answer({ revisions: whole.map(([revision, { at }]) => [String(revision), at]), disconnected });
      }
      case 'register':
        agents = new Agents(request);
        await agents.register();
        return answer();
      case 'change':
        return answer({ revisions: (await agents?.change(request)) ?? [] });
      case 'cost':
        return answer();
      case 'end':
        process.exit();
    }
  };
  process.once('disconnect', () => process.exit());
  process.on('message', (request: Request) => void act(request));
}
