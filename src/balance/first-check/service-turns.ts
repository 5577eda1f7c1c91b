import type { InstanceId, ServiceName } from '../../model/name.ts';

type Work = () => Promise<void>;

type Bounds = {
  /** At once, in all and for one service. */
  readonly most: number;
  readonly mostOfService: number;
};

/**
 * Bounds how much work is done at once. Each service has a queue of its own and a bound of its own, and the queues take turns, so that
 * work of one service that takes long does not delay another's.
 */
export class ServiceTurns {
  readonly #bounds: Bounds;
  /** The service whose turn it is comes first. */
  readonly #queues = new Map<ServiceName, Map<InstanceId, Work>>();
  readonly #running = new Map<ServiceName, number>();
  #inAll = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Begins the work in its turn, instead of what waits for this instance. The work must not reject. */
  add(service: ServiceName, id: InstanceId, work: Work): void {
    const queue = this.#queues.get(service);
    if (queue === undefined) this.#queues.set(service, new Map([[id, work]]));
    else queue.set(id, work);
    this.#begin();
  }

  /** Forgets what waits for this instance. What has begun goes on. */
  drop(service: ServiceName, id: InstanceId): void {
    const queue = this.#queues.get(service);
    if (queue?.delete(id) === true && queue.size === 0) this.#queues.delete(service);
  }

  #begin(): void {
    let passed = 0;
    while (this.#inAll < this.#bounds.most && passed < this.#queues.size) {
      const [turn] = this.#queues;
      if (turn === undefined) return;
      const [service, queue] = turn;
      const running = this.#running.get(service) ?? 0;
      const [next] = running < this.#bounds.mostOfService ? queue : [];
      this.#queues.delete(service);
      if (next === undefined) passed += 1;
      else {
        const [id, work] = next;
        passed = 0;
        queue.delete(id);
        this.#inAll += 1;
        this.#running.set(service, running + 1);
        void work().finally(() => this.#over(service));
      }
      if (queue.size > 0) this.#queues.set(service, queue);
    }
  }

  #over(service: ServiceName): void {
    this.#inAll -= 1;
    const left = (this.#running.get(service) ?? 1) - 1;
    if (left > 0) this.#running.set(service, left);
    else this.#running.delete(service);
    this.#begin();
  }
}
