import { askMark, readMark } from './config-mark.ts';
import { deletesSafely, keepsFormerAddress } from './known-faults.ts';
import { readWorkerLimits, type WorkerLimits } from './open-files.ts';
import type { Abilities } from './plan.ts';

/** The answers of a worker about itself. */
export type Worker = {
  readonly pid: number;
  /** `3.2.26`. */
  readonly version: string;
  readonly abilities: Abilities;
  readonly limits: WorkerLimits | undefined;
  /** Whether requests wait while their service is paused, which takes Lua. */
  readonly canPause: boolean;
  /** The mark of the configuration that it was loaded from. Undefined: it does not answer. */
  readonly loadedFrom: { readonly mark: string | undefined } | undefined;
};

/** The questions that `readWorker` reads the answers to. */
export const workerQuestions: readonly string[] = [
  'show info',
  'help add backend',
  'show env POINTSMAN_PAUSE',
  askMark,
];

/** Reads the answers. `onUnmarked` gets the reason why the mark cannot be read. */
export function readWorker(
  [info = '', help = '', pausing = '', mark = '']: readonly string[],
  onUnmarked: (error: unknown) => void,
): Worker {
  const version = /^Version: (\S+)$/m.exec(info)?.[1] ?? '';
  let loadedFrom: Worker['loadedFrom'];
  try {
    loadedFrom = { mark: readMark(mark) };
  } catch (error) {
    // An own template may give the socket a lower level.
    onUnmarked(error);
  }
  return {
    pid: pidIn(info),
    version,
    abilities: {
      addBackend: /^\s*add backend /m.test(help),
      deletes: deletesSafely(version),
      keepsFormerAddress: keepsFormerAddress(version),
    },
    limits: readWorkerLimits(info),
    canPause: !pausing.includes('POINTSMAN_PAUSE=impossible'),
    loadedFrom,
  };
}

/** The pid in an answer to `show info`; NaN when it has none. */
export const pidIn = (info: string): number => Number(/^Pid: (\d+)$/m.exec(info)?.[1]);
