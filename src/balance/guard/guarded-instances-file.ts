import * as v from 'valibot';
import { formatInstance, type Instance, parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName, type ServiceName } from '../../model/name.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { readSaved, type Unusable } from '../state/saved-file.ts';
import type { Storage } from '../state/storage.ts';

/** The guarded instances of one service. */
export type GuardedInstances = {
  readonly service: ServiceName;
  /** The losses that began it: `lost` of `of` instances. */
  readonly lost: number;
  readonly of: number;
  readonly remainingMs: number;
  readonly instances: readonly Instance[];
};

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const saved = v.object({
  service: v.string(),
  lost: count,
  of: count,
  /** By the wall clock: the monotonic clock begins again with each process. */
  until: v.pipe(v.string(), v.isoTimestamp()),
  instances: v.array(v.tuple([v.string(), v.string()])),
});
const schema = v.object({ format: v.literal(1), holds: v.array(saved) });

export type GuardedInstancesFileParts = {
  readonly path: string;
  readonly storage: Storage;
  /** Writes a file of the balancer's state. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly wall: () => Date;
};

const againAfterMs = 1000;

/**
 * Saves the guarded instances. The registry has lost them, so a balancer that is restarted during a mass loss would lose them, too.
 */
export class GuardedInstancesFile {
  readonly #parts: GuardedInstancesFileParts;
  /** Returns the guarded instances when they are written. */
  #wanted: (() => readonly GuardedInstances[]) | undefined;
  readonly #queue = new SerialQueue();
  #again: NodeJS.Timeout | undefined;

  constructor(parts: GuardedInstancesFileParts) {
    this.#parts = parts;
  }

  /** Writes the newest state once, however often it changes before. */
  save(newest: () => readonly GuardedInstances[]): void {
    const due = this.#wanted !== undefined;
    this.#wanted = newest;
    if (due) return;
    void this.#queue.run(() => this.#write());
  }

  /** Resolves when everything is saved, or could not be saved. */
  async flush(): Promise<void> {
    await this.#queue.idle();
    clearTimeout(this.#again);
    await this.#write();
    clearTimeout(this.#again);
  }

  async #write(): Promise<void> {
    const { path, storage, write, wall } = this.#parts;
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    this.#wanted = undefined;
    const file: v.InferInput<typeof schema> = {
      format: 1,
      holds: wanted().map(({ service, lost, of, remainingMs, instances }) => ({
        service,
        lost,
        of,
        until: new Date(wall().getTime() + remainingMs).toISOString(),
        instances: instances.map((instance) => [instance.id, formatInstance(instance)]),
      })),
    };
    try {
      await write(path, JSON.stringify(file));
      storage.worked('holds');
    } catch (error) {
      storage.failed('holds', error);
      // A full disk may have room again later.
      this.#wanted ??= wanted;
      clearTimeout(this.#again);
      this.#again = setTimeout(() => {
        void this.#queue.run(() => this.#write());
      }, againAfterMs);
    }
  }
}

/** Reads the guarded instances that have time left. */
export async function loadGuardedInstances(path: string, wall: Date): Promise<readonly GuardedInstances[] | Unusable> {
  const guarded = await readSaved(path, (json) => v.parse(schema, json).holds.flatMap((one) => readGuarded(one, wall)));
  return guarded ?? [];
}

function readGuarded(
  { service, lost, of, until, instances }: v.InferOutput<typeof saved>,
  wall: Date,
): readonly GuardedInstances[] {
  const name = parseServiceName(service);
  const remainingMs = Date.parse(until) - wall.getTime();
  if (!name.ok || remainingMs <= 0) return [];
  const read = instances.flatMap(([id, value]) => {
    const parsedId = parseInstanceId(id);
    const instance = parsedId.ok ? parseInstance(name.value, parsedId.value, value) : parsedId;
    return instance.ok ? [instance.value] : [];
  });
  return [{ service: name.value, lost, of, remainingMs, instances: read }];
}
