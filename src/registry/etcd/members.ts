import { setTimeout as pause } from 'node:timers/promises';
import { backoffMs } from '../../waiting/backoff.ts';
import { CallTime, leastCallMs } from './call-time.ts';
import { describeFailure, type Failure, failureOf, isSilence, registryFault } from './failure.ts';
import { type EtcdAccess, type MemberClient, openMember } from './member-client.ts';
import type { MemberSource } from './member-source.ts';
import { nextMember, Rotation } from './rotation.ts';

export type MembersOptions = {
  readonly access: EtcdAccess;
  readonly source: MemberSource;
  readonly where: string;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Give up when no member's certificate is trusted: a caller waits, and only a corrected file helps. */
  readonly hasty?: true;
  /** Called at each failure that makes us leave a member, and when a member answers again. */
  readonly onFailure?: (reason: string) => void;
  readonly onAnswer?: () => void;
};

const leastWaitMs = 50;
const backoff = { firstMs: 2 * leastWaitMs, mostMs: 2000 };
// As many as etcd answers well within a call's deadline, on a slow machine too.
const mostInFlight = 64;

/**
 * The pause before an attempt, in ms: none until every member was asked once (a single one twice, because an old connection
 * may fail where a new one works), then a random time before each further round.
 */
export function waitBefore(attempt: number, members: number, random: () => number): number {
  const first = Math.max(2, members);
  const round = Math.max(1, members);
  const after = attempt - first;
  if (after < 0 || after % round !== 0) return 0;
  return leastWaitMs + random() * (backoffMs(backoff, after / round + 1) - leastWaitMs);
}

/** Calls one member after the other until one answers. Sticks to one that does. */
export class Members {
  readonly #options: MembersOptions;
  readonly #rotation: Rotation;
  #client: MemberClient | undefined;
  #opening: Promise<MemberClient> | undefined;
  readonly #lifetime = new Lifetime();
  readonly #inFlight = new InFlight(mostInFlight);
  readonly #time = new CallTime();
  /** Calls that etcd refuses because its quota is used up, and that are tried again. */
  #refused = 0;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#rotation = new Rotation([], options.random);
  }

  /** The current member's client. */
  async client(): Promise<MemberClient> {
    if (this.#client !== undefined) return this.#client;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    this.#client = await this.#opening;
    if (this.#lifetime.signal.aborted) this.discard(this.#client);
    return this.#client;
  }

  async #open(): Promise<MemberClient> {
    const { access, source } = this.#options;
    return openMember(nextMember(this.#rotation, await source.members()), access, this.#time.ms);
  }

  /** Whether no call waits for etcd to accept writes again. Meanwhile etcd answers reads and keep-alives. */
  get takesWrites(): boolean {
    return this.#refused === 0;
  }

  /** How much longer than at first the link needs, for deadlines of streams: 1, 2, 4. */
  get stretch(): number {
    return this.#time.stretch;
  }

  /** A call outside of `run` was answered after so many ms. */
  answered(tookMs: number): void {
    this.#time.answered(tookMs);
  }

  /** Leaves this client's member for the next one, unless that was done before. `silent`: the next one gets more time. */
  discard(client: MemberClient, silent = false): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#rotation.next(silent);
    client.close();
    if (silent) this.#time.silent();
  }

  /**
   * Runs `call` on a member, and on the next one when it fails, until it succeeds or `signal` aborts. `callMs` is how long one
   * request to etcd may take: more after each request without an answer in time. Rejects with a Fault: at once when etcd denies
   * it (after all members, when `hasty` and no certificate is trusted), otherwise with the last failure.
   */
  run<T>(call: (client: MemberClient, callMs: number) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#lifetime.during(signal, (stop) => this.#attempt(call, stop));
  }

  async #attempt<T>(call: (client: MemberClient, callMs: number) => Promise<T>, stop: AbortSignal): Promise<T> {
    let failure: Failure = { kind: 'member', reason: 'no member answered in time' };
    let refused = false;
    const setRefused = (now: boolean) => {
      this.#refused += Number(now) - Number(refused);
      refused = now;
    };
    for (let attempt = 0; !stop.aborted; attempt += 1) {
      const wait = waitBefore(attempt, this.#rotation.size, this.#options.random);
      if (wait > 0) await pause(wait, undefined, { signal: stop }).catch(() => undefined);
      const leave = await this.#inFlight.enter(stop);
      if (leave === undefined) break;
      let client: MemberClient | undefined;
      try {
        client = await this.client();
        const began = performance.now();
        const value = await soonAfter(stop, call(client, this.#time.ms));
        this.#time.answered(performance.now() - began);
        setRefused(false);
        if (this.takesWrites) this.#options.onAnswer?.();
        return value;
      } catch (error) {
        failure = failureOf(error);
        setRefused(failure.kind === 'full');
        if (client === undefined) this.#rotation.next(false);
        else if (!refused) this.discard(client, isSilence(failure.reason));
        if (failure.kind === 'denied' || failure.kind === 'too-large') break;
        if (failure.kind === 'untrusted' && this.#options.hasty && attempt + 1 >= this.#rotation.size) break;
        this.#options.onFailure?.(this.#options.source.explain(describeFailure(failure)));
      } finally {
        leave();
      }
    }
    setRefused(false);
    throw registryFault(failure, this.#options.where);
  }

  close(): void {
    this.#lifetime.end();
    if (this.#client !== undefined) this.discard(this.#client);
  }
}

/**
 * The result of the promise, or a rejection when it does not come soon after `signal` aborts. A call that is under way may
 * arrive, so it is not given up at once; the caller does not wait as long as a slow link may need.
 */
function soonAfter<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      timer = setTimeout(() => reject(new Error(`no answer within ${leastCallMs} ms`)), leastCallMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/**
 * Lets so many calls run at a time; the others wait in order. A thousand calls at once on one connection would wait for each
 * other until their deadlines, and a missed deadline costs the connection. Not p-limit, which cannot end a wait by a signal.
 */
export class InFlight {
  readonly #most: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits for a turn. Resolves with the function that ends the turn; with undefined when `signal` aborts before. */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    if (this.#running < this.#most) this.#running += 1;
    else if (!(await this.#turn(signal))) return undefined;
    return () => this.#leave();
  }

  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const go = () => {
        signal.removeEventListener('abort', giveUp);
        resolve(true);
      };
      const giveUp = () => {
        this.#waiting.delete(go);
        resolve(false);
      };
      this.#waiting.add(go);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Hands the turn on, or gives it back. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

/**
 * How long something that makes calls lasts. Not AbortSignal.any over one signal that lives as long as the process: in Node 20
 * each use of it leaves about 75 bytes there. Nor a listener for each call: adding one looks at all that there are.
 */
export class Lifetime {
  readonly #end = new AbortController();
  readonly #calls = new Set<AbortController>();

  /** Aborts with the end. For few listeners. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  end(): void {
    this.#end.abort();
    for (const call of this.#calls) call.abort(this.#end.signal.reason);
  }

  /** Runs `call` with a signal that aborts with the end, or with `given` if that comes first. */
  async during<T>(given: AbortSignal | undefined, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const onAbort = () => controller.abort(given?.reason);
    this.#calls.add(controller);
    given?.addEventListener('abort', onAbort);
    if (this.#end.signal.aborted) controller.abort(this.#end.signal.reason);
    else if (given?.aborted) onAbort();
    try {
      return await call(controller.signal);
    } finally {
      this.#calls.delete(controller);
      given?.removeEventListener('abort', onAbort);
    }
  }
}
