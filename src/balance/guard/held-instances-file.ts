import * as v from 'valibot';
import { formatInstance, type Instance, parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName, type ServiceName } from '../../model/name.ts';
import { readSaved, type Unusable } from '../state/saved-file.ts';
import type { Storage } from '../state/storage.ts';

/** What the guard holds of one service, and for how long still. */
export type KeptHold = {
  readonly service: ServiceName;
  /** How many of how many were lost when it began. */
  readonly lost: number;
  readonly of: number;
  readonly remainingMs: number;
  readonly instances: readonly Instance[];
};

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const hold = v.object({
  service: v.string(),
  lost: count,
  of: count,
  /** By the wall clock, because the monotonic one begins anew with a process. */
  until: v.pipe(v.string(), v.isoTimestamp()),
  instances: v.array(v.tuple([v.string(), v.string()])),
});
const schema = v.object({ format: v.literal(1), holds: v.array(hold) });

export type HoldsFileParts = {
  readonly path: string;
  readonly storage: Storage;
  /** Writes a file of the balancer's state. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly wall: () => Date;
};

const againAfterMs = 1000;

/**
 * Keeps what the guard holds, because nothing else knows of it: the registry has lost these instances, and a balancer that
 * is restarted in the middle of a mass loss would lose them, too.
 */
export class HoldsFile {
  readonly #parts: HoldsFileParts;
  /** Gives what is held when it is written. */
  #wanted: (() => readonly KeptHold[]) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #again: NodeJS.Timeout | undefined;

  constructor(parts: HoldsFileParts) {
    this.#parts = parts;
  }

  /** Writes the newest soon; what is overtaken meanwhile is never written. */
  save(holds: () => readonly KeptHold[]): void {
    const due = this.#wanted !== undefined;
    this.#wanted = holds;
    if (due) return;
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** Resolves when what was to be saved is, or could not be; for the end. */
  async flush(): Promise<void> {
    await this.#writing;
    clearTimeout(this.#again);
    await this.#write();
    clearTimeout(this.#again);
  }

  /** What was kept and has time left. A reason when there is a file that cannot be used. */
  load(): Promise<readonly KeptHold[] | Unusable> {
    return loadHolds(this.#parts.path, this.#parts.wall());
  }

  async #write(): Promise<void> {
    const { path, storage, write, wall } = this.#parts;
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    this.#wanted = undefined;
    const saved: v.InferInput<typeof schema> = {
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
      await write(path, JSON.stringify(saved));
      storage.worked('holds');
    } catch (error) {
      storage.failed('holds', error);
      // A full disk may have room again later.
      this.#wanted ??= wanted;
      clearTimeout(this.#again);
      this.#again = setTimeout(() => {
        this.#writing = this.#writing.then(() => this.#write());
      }, againAfterMs);
    }
  }
}

/** What the guard held and has time left. A reason when there is a file that cannot be used. */
export async function loadHolds(path: string, wall: Date): Promise<readonly KeptHold[] | Unusable> {
  const holds = await readSaved(path, (json) => v.parse(schema, json).holds.flatMap((saved) => readHold(saved, wall)));
  return holds ?? [];
}

function readHold(
  { service, lost, of, until, instances }: v.InferOutput<typeof hold>,
  wall: Date,
): readonly KeptHold[] {
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
