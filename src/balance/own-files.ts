import { FileKeeper } from '../files/file-keeper.ts';
import { type FileStatus, isWell } from '../files/file-state.ts';
import type { FileMetrics } from '../files/metrics.ts';
import { prepareFiles } from '../files/prepare-files.ts';
import type { HeldStatus } from '../registry/holding/holder.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { defaultIntervalMs } from '../settings/file-declaration.ts';
import type { BalanceParts } from './balance-parts.ts';
import type { HeldMetrics } from './guard/held-entries.ts';
import { observingApplied, type ServingObserver } from './observe/serving-observer.ts';

/**
 * Keeps the files of `templates`. They are made of the catalog that this balancer serves: guarded instances are in them, too. Undefined
 * when no file is declared. Rejects with an AggregateError of Faults.
 */
export async function prepareOwnFiles(
  { files: declarations, holding: { holdMs } }: BalanceSettings,
  { env, openForeign, logger, now, wall }: BalanceParts,
  metrics: FileMetrics,
): Promise<FileKeeper | undefined> {
  if (declarations.length === 0) return undefined;
  const files = await prepareFiles(declarations);
  const onResult = (dest: string, result: string) => metrics.fileResults.inc({ dest, result });
  const intervalMs = defaultIntervalMs;
  return new FileKeeper({ files, env, openForeign, logger, now, wall, holdMs, intervalMs, onResult });
}

/** An observer that has the files made, and passes everything on to `other`. */
export function observingFiles(keeper: FileKeeper, other: ServingObserver | undefined): ServingObserver {
  return observingApplied((_, catalog) => keeper.serve(catalog), other);
}

/** Brings the metrics up to date: `held` are the held entries of foreign trees. */
export function measureFiles(
  metrics: { readonly files: FileMetrics; readonly held: HeldMetrics },
  held: readonly HeldStatus[],
  files: readonly FileStatus[],
): void {
  const all = held.reduce((sum, { count }) => sum + count, 0);
  metrics.held.held.set({ area: 'foreign' }, all);
  for (const file of files) metrics.files.fileFailed.set({ dest: file.dest }, isWell(file) ? 0 : 1);
}
