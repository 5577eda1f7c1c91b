import type { InstanceId, ServiceName } from './name.ts';

/** What a change touched, so that no stage has to look at all services. */
export type DirtySet = ReadonlyMap<ServiceName, DirtyService>;

type DirtyService = {
  /** The service appeared, vanished or has another policy: more than its servers may differ. */
  readonly whole: boolean;
  readonly instances: ReadonlySet<InstanceId>;
};

/** Gathers what several changes touched, until somebody takes it all. */
export class DirtySetBuilder {
  #services = new Map<ServiceName, { whole: boolean; instances: Set<InstanceId> }>();

  get empty(): boolean {
    return this.#services.size === 0;
  }

  service(name: ServiceName): void {
    this.#mark(name).whole = true;
  }

  instance(name: ServiceName, id: InstanceId): void {
    this.#mark(name).instances.add(id);
  }

  add(dirty: DirtySet): void {
    for (const [name, service] of dirty) {
      const mark = this.#mark(name);
      mark.whole ||= service.whole;
      for (const id of service.instances) mark.instances.add(id);
    }
  }

  /** All of it; the gathering is empty afterwards. */
  take(): DirtySet {
    const all = this.#services;
    this.#services = new Map();
    return all;
  }

  #mark(name: ServiceName): { whole: boolean; instances: Set<InstanceId> } {
    let mark = this.#services.get(name);
    if (mark === undefined) {
      mark = { whole: false, instances: new Set() };
      this.#services.set(name, mark);
    }
    return mark;
  }
}

/** Every one of these services, whole. */
export function allDirty(names: Iterable<ServiceName>): DirtySet {
  return new Map([...names].map((name) => [name, { whole: true, instances: new Set() }]));
}
