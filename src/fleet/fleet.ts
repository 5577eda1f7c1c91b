import { type Follower, fleetKeys, type Registry } from '../registry/registry.ts';
import { type Awaited, type BarrierState, evaluateBarrier, isOver, type WaitVerdict } from './barrier.ts';
import { emptyFleet, type FleetView, foldFleet } from './fleet-view.ts';

/** Follows what the balancers acknowledge. */
export class Fleet {
  readonly #follower: Follower;
  readonly #listeners = new Set<() => void>();
  #view: FleetView = emptyFleet;
  #connected = false;

  constructor(registry: Registry) {
    this.#follower = registry.follow((event) => {
      this.#view = foldFleet(this.#view, event);
      if (event.kind === 'connected' || event.kind === 'disconnected') this.#connected = event.kind === 'connected';
      for (const listener of [...this.#listeners]) listener();
    }, fleetKeys);
  }

  get view(): FleetView {
    return this.#view;
  }

  /** Calls `listener` after each change, until the answer is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when every change from now on arrives at once, or when `signal` aborts. Never rejects. (etcd sends the changes to
   * a watch that begins before its newest change only up to 100 ms later.)
   */
  following(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!signal.aborted && !(this.#connected && this.#view.cluster !== undefined)) return;
        stopListening();
        signal.removeEventListener('abort', look);
        resolve();
      };
      const stopListening = this.listen(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }

  /** Resolves when the wait is over, or with the present verdict when `signal` aborts. Never rejects. */
  wait(
    awaited: Awaited,
    signal: AbortSignal,
    onProgress: (verdict: BarrierState) => void = () => undefined,
  ): Promise<WaitVerdict> {
    return new Promise((resolve) => {
      let verdict = evaluateBarrier(this.#view, awaited);
      /** The balancers that were missing when they were last seen. */
      const unanswered = new Set<string>();
      const finish = () => {
        stopListening();
        signal.removeEventListener('abort', finish);
        const { balancers, ended } = this.#view;
        const vanished = [...unanswered].filter((balancer) => !balancers.has(balancer) && !ended.has(balancer));
        resolve({ ...verdict, vanished: vanished.sort() });
      };
      const look = () => {
        verdict = evaluateBarrier(this.#view, awaited);
        if (verdict.kind === 'waiting' || verdict.kind === 'reached') {
          for (const balancer of verdict.reached) unanswered.delete(balancer);
        }
        if (verdict.kind === 'waiting') for (const { balancer } of verdict.missing) unanswered.add(balancer);
        onProgress(verdict);
        if (isOver(verdict, awaited)) finish();
      };
      const stopListening = this.listen(look);
      signal.addEventListener('abort', finish, { once: true });
      look();
      if (signal.aborted) finish();
    });
  }

  close(): Promise<void> {
    return this.#follower.close();
  }
}
