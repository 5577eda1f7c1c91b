import type { Fault } from '../model/fault.ts';
import type { FileJob } from './file-job.ts';
import type { FileTemplate } from './file-template.ts';
import { dueAt, type Pending } from './quiescence.ts';
import type { Needs } from './sources.ts';

/** A failure, how often it happened in a row, and when the next try is; undefined: only a change causes a try. */
type FileFailure = { readonly fault: Fault; readonly count: number; readonly retryAt: number | undefined };

/** A file as it is kept. Times are monotonic, in ms. */
export type FileState = {
  readonly job: FileJob;
  template: FileTemplate;
  /** Why a newer template is not used. */
  templateFault: Fault | undefined;
  /** The parts of the registry that it was made of last. */
  madeOf: readonly unknown[] | undefined;
  pending: Pending;
  /** When a change was seen last. */
  changedAt: number;
  failure: FileFailure | undefined;
  /** Since when it is being looked at or made; undefined while it is not. One thing at a time is done with a file. */
  busySince: number | undefined;
  /** When to look next whether somebody else changed it. */
  lookAt: number;
  /** The trace of the file when it last had its text; undefined when it is not known. */
  trace: string | undefined;
  /** The change that somebody else made, until the file is as it should be. */
  altered: string | undefined;
  /** How often somebody else changed it lately. */
  alterations: number;
  /** Why it is overwritten in place. */
  inPlace: string | undefined;
  /** Why it belongs to pointsman's user, instead of the owner that it should have. */
  ownerRefused: string | undefined;
  /** How often it was replaced. */
  generation: number;
  /** Since when its reload waits; undefined while it does not. */
  reloadDueSince: number | undefined;
  reloadFailure: FileFailure | undefined;
};

/** The state of a file that operators see. */
export type FileStatus = {
  readonly dest: string;
  /** Its template, its check or the disk refused the newest text; the file is as it was before. */
  readonly refused: string | undefined;
  readonly reloadFailed: string | undefined;
  /** Somebody else changed or deleted it, and it is not restored yet. */
  readonly altered: string | undefined;
  /** Its check or the disk takes long: the file is as it was before. */
  readonly stalled: string | undefined;
  /** It cannot be replaced but only overwritten, for this reason: a reader may find half of a text. */
  readonly inPlace: string | undefined;
};

const stalledMs = 2000;

export const newFile = ({ job, template }: Pick<FileState, 'job' | 'template'>): FileState => ({
  ...{ job, template, templateFault: undefined, madeOf: undefined, pending: undefined, failure: undefined },
  changedAt: Number.NEGATIVE_INFINITY,
  ...{ busySince: undefined, lookAt: Number.POSITIVE_INFINITY, trace: undefined, altered: undefined, alterations: 0 },
  ...{
    inPlace: undefined,
    ownerRefused: undefined,
    generation: 0,
    reloadDueSince: undefined,
    reloadFailure: undefined,
  },
});

export function statusOf(file: FileState, now: number): FileStatus {
  const { job, templateFault, failure, reloadFailure, altered, inPlace, busySince } = file;
  const busyMs = busySince === undefined ? 0 : now - busySince;
  return {
    dest: job.dest,
    refused: (templateFault ?? failure?.fault)?.toString(),
    reloadFailed: reloadFailure?.fault.toString(),
    altered,
    stalled:
      busyMs < stalledMs ? undefined : `its check or the disk has not answered for ${Math.round(busyMs / 1000)} s`,
    inPlace,
  };
}

/** Whether the file is as it should be, and in use. */
export const isWell = ({ refused, reloadFailed, altered }: FileStatus): boolean =>
  refused === undefined && reloadFailed === undefined && altered === undefined;

export const needsOf = ({ job, template }: FileState): Needs => ({ uses: template.uses, keys: job.keys });

/** When the file is to be made; undefined when it is not. */
export function makeAt({ pending, failure, job }: FileState): number | undefined {
  const times = [pending === undefined ? undefined : dueAt(pending, job.wait), failure?.retryAt];
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** When to act on the file next; undefined while it is looked at or made. A burst of changes comes before the next look. */
export function nextAt(file: FileState): number | undefined {
  if (file.busySince !== undefined) return undefined;
  return file.pending === undefined ? Math.min(makeAt(file) ?? file.lookAt, file.lookAt) : makeAt(file);
}

/** Files that name the same reload command, together. */
export function byReload(files: readonly FileState[]): ReadonlyMap<string, readonly [FileState, ...FileState[]]> {
  const groups = new Map<string, [FileState, ...FileState[]]>();
  for (const file of files) {
    if (file.job.reload === undefined) continue;
    const command = JSON.stringify(file.job.reload);
    const group = groups.get(command);
    if (group === undefined) groups.set(command, [file]);
    else group.push(file);
  }
  return groups;
}

/**
 * When to run the reload of files that share it; undefined when none of them waits for it. Files that are being made are
 * waited for, so that one reload does for all, unless they take longer than `patienceMs` or did so the last time.
 */
export function reloadAt(
  group: readonly FileState[],
  wasSlow: (file: FileState) => boolean,
  patienceMs: number,
): number | undefined {
  const waiting = group.filter(({ reloadDueSince }) => reloadDueSince !== undefined);
  if (waiting.length === 0) return undefined;
  const times = waiting.map(
    ({ reloadDueSince, reloadFailure }) =>
      (reloadFailure === undefined ? reloadDueSince : reloadFailure.retryAt) ?? Number.POSITIVE_INFINITY,
  );
  const due = Math.min(...times);
  return group.some((file) => file.busySince !== undefined && !wasSlow(file)) ? due + patienceMs : due;
}
