import type { InstanceId, ServiceName } from '../../model/name.ts';

type Work = () => Promise<void>;

type Bounds = {
  /** The most that run at once, in all and for one service. */
  readonly most: number;
  readonly mostOfService: number;
};

/**
 * Limits the work that runs at once. Each service has its own queue and its own limit, and the queues take turns: slow work of one
 * service does not delay another service.
 */
export class ServiceTurns {
  readonly #bounds: Bounds;
  /** The service that is next comes first. */
  readonly #queues = new Map<ServiceName, Map<InstanceId, Work>>();
  readonly #running = new Map<ServiceName, number>();
  #inAll = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Begins the work in its turn. It replaces work that waits for this instance. The work must not reject. */
  add(service: ServiceName, id: InstanceId, work: Work): void {
    const queue = this.#queues.get(service);
    if (queue === undefined) this.#queues.set(service, new Map([[id, work]]));
    else queue.set(id, work);
    this.#begin();
  }

  /** Removes the work that waits for this instance. Work that has begun goes on. */
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
