import { Fault, NotCompared, PartialFailure } from '../model/fault.ts';
import type { FaultCode } from '../model/fault-code.ts';

/** The command did what it was asked for. */
export const done = 0;
/** The command failed, for a reason outside its settings. */
export const failed = 1;
/** A flag, variable, settings file, argument or declaration is wrong, or contradicts another one; nothing was started. */
export const misused = 2;

const misuse: readonly FaultCode[] = ['usage', 'settings', 'conflict'];

/** The lines about the error for a user, without a stack trace, and the exit code. Undefined: the error is a bug of pointsman. */
export function reportFaults(
  error: unknown,
): { readonly lines: readonly string[]; readonly exitCode: number } | undefined {
  const faults: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  if (!faults.every((fault): fault is Fault => fault instanceof Fault)) return undefined;
  return {
    lines: faults.map((fault) => `pointsman: ${fault.toString().replace(/\s*\n\s*/g, ' ')}`),
    exitCode: exitCodeFor(error, faults),
  };
}

function exitCodeFor(error: unknown, faults: readonly Fault[]): number {
  if (error instanceof PartialFailure) return failed;
  return error instanceof NotCompared ? misused : Math.max(...faults.map(({ code }) => exitCodeOf(code)));
}

/** The exit code of a command after an error of this kind. */
export const exitCodeOf = (code: FaultCode): number => (misuse.includes(code) ? misused : failed);
