import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import { FileKeeper } from '../files/file-keeper.ts';
import { type FileStatus, isWell } from '../files/file-state.ts';
import { prepareFiles } from '../files/prepare-files.ts';
import type { HeldStatus } from '../registry/holding/holder.ts';
import type { Registry, RegistryEvent } from '../registry/registry.ts';
import { defaultIntervalMs, type FileDeclaration } from '../settings/file-declaration.ts';
import type { HeldMetrics } from './guard/held-entries.ts';
import type { MakeMetric } from './observe/make-metric.ts';
import type { ServingObserver } from './observe/serving-observer.ts';

/** Metrics of own files. */
export const fileMetrics = ({ counter, gauge }: MakeMetric) => ({
  fileResults: counter('file_results_total', 'What came of making a file of `templates`, and of its reload.', [
    'dest',
    'result',
  ]),
  fileFailed: gauge('file_failed', '1 while a file of `templates` is not as it should be, or not in use.', ['dest']),
});

export type FileKeepingParts = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a registry whose root is that of all keys. */
  readonly openForeign: () => Promise<Registry>;
  readonly metrics: ReturnType<typeof fileMetrics> & Pick<HeldMetrics, 'held'>;
  readonly logger: Logger;
  readonly now: () => number;
  readonly wall: () => Date;
  /** How long entries that vanish from a foreign tree are held, in ms; undefined: until an operator releases them. */
  readonly holdMs: number | undefined;
};

/** The files of `templates`, made of the catalog that this balancer serves: guarded instances are in them, too. */
export class FileKeeping {
  readonly #keeper: FileKeeper;
  readonly #metrics: FileKeepingParts['metrics'];

  private constructor(keeper: FileKeeper, metrics: FileKeepingParts['metrics']) {
    this.#keeper = keeper;
    this.#metrics = metrics;
  }

  /** Undefined when no file is declared. Rejects with an AggregateError of Faults. */
  static async prepare(
    declarations: readonly FileDeclaration[],
    { env, openForeign, metrics, logger, now, wall, holdMs }: FileKeepingParts,
  ): Promise<FileKeeping | undefined> {
    if (declarations.length === 0) return undefined;
    const files = await prepareFiles(declarations);
    const onResult = (dest: string, result: string) => metrics.fileResults.inc({ dest, result });
    const intervalMs = defaultIntervalMs;
    const keeper = new FileKeeper({ files, env, openForeign, logger, now, wall, holdMs, intervalMs, onResult });
    return new FileKeeping(keeper, metrics);
  }

  /** An observer for the balancer that passes everything on to `other`. */
  observing(other: ServingObserver | undefined): ServingObserver {
    return {
      onApplied: (dirty, catalog) => {
        this.#keeper.serve(catalog);
        other?.onApplied(dirty, catalog);
      },
      onServed: (...all) => other?.onServed(...all),
      get trouble() {
        return other?.trouble;
      },
    };
  }

  onEvent(event: RegistryEvent): void {
    this.#keeper.offer(event);
  }

  /** Begins to make files, of this catalog first. */
  async begin(catalog: Catalog): Promise<void> {
    this.#keeper.serve(catalog);
    this.#keeper.keep();
    await this.#keeper.follow();
  }

  /** The held entries of foreign trees. */
  held(): readonly HeldStatus[] {
    const held = this.#keeper.held();
    this.#metrics.held.set(
      { area: 'foreign' },
      held.reduce((sum, { count }) => sum + count, 0),
    );
    return held;
  }

  /** Releases the held entries of foreign trees. */
  release(): void {
    this.#keeper.release();
  }

  status(): readonly FileStatus[] {
    const status = this.#keeper.status();
    for (const file of status) this.#metrics.fileFailed.set({ dest: file.dest }, isWell(file) ? 0 : 1);
    return status;
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }
}
