import type { InstanceId, ServiceName } from './name.ts';

/** The services and instances that changes concern. Later stages look at these only. */
export type DirtySet = ReadonlyMap<ServiceName, DirtyService>;

export type DirtyService = {
  /** The service appeared, vanished or has another policy: more than its servers may differ. */
  readonly whole: boolean;
  readonly instances: ReadonlySet<InstanceId>;
};

/** Gathers the dirty sets of several changes until they are taken together. */
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

  /** Returns what was gathered, and begins again with nothing. */
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

/** A dirty set of whole services. */
export function allDirty(names: Iterable<ServiceName>): DirtySet {
  return new Map([...names].map((name) => [name, { whole: true, instances: new Set() }]));
}
