import { parseServerLine } from '../../haproxy/server-line.ts';
import { readServerChoices, type ServerChoice } from '../../haproxy/stat.ts';
import type { Step } from '../../haproxy/step.ts';
import { describe } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Loop, Timers } from './loop.ts';
import { lookAtTurns, type Turns } from './passed-over.ts';

type RotationParts = Pick<BalancerParts, 'logger' | 'now'> & {
  readonly link: Pick<BalancerParts['link'], 'connected' | 'workerPid' | 'backendTraffic' | 'aside' | 'renewPlaces'>;
  readonly isRoundRobin: (service: ServiceName) => boolean;
  readonly timers: Pick<Timers, 'arm' | 'has'>;
  readonly loop: Pick<Loop, 'wake'>;
};

type Watched = {
  /** Undefined before the first look. */
  readonly turns: Turns | undefined;
  /** The requests of the service at the last look at its servers. */
  readonly requests: number;
  /** Whether a server became usable since. */
  readonly joined: boolean;
};

/** Several servers that join at once are looked at together. */
const settleMs = 200;
/** Between two looks, in ms; at least so many times as long as the last look took, and longer while no requests come. */
const pace = { leastMs: 1000, mostMs: 10_000, times: 50 };
/** Servers are looked at again after so many requests at the earliest. */
const leastRequests = 20;
/** The most services whose servers one look reads. */
const mostServices = 16;
/** HAProxy is asked for all backends at once if more services are watched. */
const mostNamed = 64;
const mostShown = 3;

/**
 * Sees to it that each server of a service with `roundrobin` gets its turn. In HAProxy, when servers leave and others become usable before
 * they had their turn, a server can wait until the others got some thousand requests (docs/haproxy-versions.md). pointsman watches such a
 * service until HAProxy has chosen each of its servers once, and gives a server that is passed over a new place.
 */
export class Rotation {
  readonly #parts: RotationParts;
  /** Services of which a server left since the worker began: otherwise nothing can be passed over. */
  readonly #left = new Set<ServiceName>();
  readonly #watched = new Map<ServiceName, Watched>();
  #passedOver: (readonly [service: ServiceName, id: InstanceId])[] = [];
  #worker: number | undefined;
  /** An earlier pointsman may have seen servers leave. */
  #adopted = false;
  #pauseMs: number = pace.leastMs;

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /** An HAProxy that an earlier pointsman started serves. */
  adopt(): void {
    this.#adopted = true;
  }

  /** Whether a server is to get a new place. */
  get due(): boolean {
    return this.#passedOver.length > 0;
  }

  /** HAProxy has carried out this step. */
  onStep(step: Step): void {
    switch (step.kind) {
      case 'remove-server':
      case 'retire-server':
        this.left(step.backend as ServiceName);
        return;
      case 'set-weight':
        this.left(step.backend as ServiceName);
        this.joined(step.backend as ServiceName);
        return;
      case 'add-server':
      case 'revive-server':
      case 'set-address':
      case 'set-state':
        if (step.server.disabled || step.checkFirst === true) this.left(step.backend as ServiceName);
        else this.joined(step.backend as ServiceName);
    }
  }

  /** A server of this service gets no requests any more. */
  left(service: ServiceName): void {
    this.#meet();
    this.#left.add(service);
  }

  /** A server of this service gets requests from now on. */
  joined(service: ServiceName): void {
    const { isRoundRobin, timers } = this.#parts;
    this.#meet();
    if ((!this.#adopted && !this.#left.has(service)) || !isRoundRobin(service)) return;
    this.#watched.set(service, { turns: undefined, requests: 0, ...this.#watched.get(service), joined: true });
    if (timers.has('rotation') && this.#pauseMs === pace.leastMs) return;
    this.#pauseMs = pace.leastMs;
    this.#arm(settleMs);
  }

  /** Gives the servers that were passed over a new place. No round may run meanwhile, which may change their weights. */
  async renew({ backends }: Rendered): Promise<void> {
    const servers = this.#passedOver.flatMap(([backend, id]) => {
      const server = parseServerLine(backends.get(backend)?.servers.get(id) ?? '');
      return server === undefined || server.disabled || server.weight === 0 ? [] : [{ backend, server }];
    });
    this.#passedOver = [];
    await this.#parts.link.renewPlaces(servers);
  }

  /** Another worker begins with all servers in the round robin. */
  #meet(): void {
    const { workerPid } = this.#parts.link;
    if (workerPid === undefined || workerPid === this.#worker) return;
    if (this.#worker !== undefined) {
      this.#adopted = false;
      this.#left.clear();
      this.#watched.clear();
    }
    this.#worker = workerPid;
  }

  #arm(ms: number): void {
    this.#parts.timers.arm('rotation', ms, () => this.#look());
  }

  async #look(): Promise<void> {
    const { link, now, loop, logger } = this.#parts;
    const began = now();
    this.#pauseMs = Math.min(pace.mostMs, 2 * this.#pauseMs);
    try {
      this.#meet();
      if (link.connected && this.#watched.size > 0) await this.#lookAtServices();
    } catch (error) {
      logger.debug({ event: 'turns-unknown', reason: describe(error) }, 'asked again later');
    }
    if (this.#watched.size > 0) this.#arm(Math.max(this.#pauseMs, (now() - began) * pace.times));
    if (this.due) loop.wake();
  }

  async #lookAtServices(): Promise<void> {
    const { link } = this.#parts;
    const names = [...this.#watched.keys()];
    const backends = await link.backendTraffic(names.length > mostNamed ? undefined : names);
    const due: (readonly [name: ServiceName, requests: number])[] = [];
    for (const name of names) {
      const watched = this.#watched.get(name);
      const requests = backends.get(name)?.requests;
      if (requests === undefined) this.#watched.delete(name);
      else if (watched !== undefined && isDue(watched, requests)) due.push([name, requests]);
    }
    if (due.length === 0) return;
    this.#pauseMs = pace.leastMs;
    // The answer for ten thousand servers takes a second, in which rounds go on.
    const worker = await link.aside();
    try {
      for (const [name, requests] of due.slice(0, mostServices)) {
        const watched = this.#watched.get(name);
        const [answer = ''] = await worker.run([`show stat ${name} 4 -1`]);
        if (link.workerPid !== worker.workerPid) return;
        if (watched !== undefined) this.#take(name, watched, requests, readServerChoices(answer));
      }
    } finally {
      worker.close();
    }
  }

  #take(name: ServiceName, watched: Watched, requests: number, choices: ReadonlyMap<string, ServerChoice>): void {
    const { turns, passedOver, settled } = lookAtTurns(watched.turns, choices, watched.joined);
    const joined = this.#watched.get(name) !== watched;
    // The services that were looked at last come last at the next look.
    this.#watched.delete(name);
    if (joined || !settled) this.#watched.set(name, { turns, requests, joined });
    if (passedOver.length === 0) return;
    // A server is named as its instance.
    for (const id of passedOver) this.#passedOver.push([name, id as InstanceId]);
    const { logger } = this.#parts;
    const instances = passedOver.slice(0, mostShown);
    const fields = { event: 'passed-over', service: name, instances, count: passedOver.length };
    logger.info(fields, 'HAProxy chose others instead of these servers, which get a new place in the round robin');
  }
}

/** Whether so many requests came since the last look that each server may have been chosen. */
const isDue = ({ turns, requests: before }: Watched, requests: number): boolean =>
  turns === undefined || requests - before >= Math.max(leastRequests, turns.servers.size);
