import type { FaultCode } from './fault-code.ts';

/** An error for the user: what happened, where (flag, key, `file:line`), and what to do about it. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly where: string | undefined;
  readonly hint: string | undefined;

  constructor(
    code: FaultCode,
    what: string,
    detail: { where?: string | undefined; hint?: string | undefined; cause?: unknown } = {},
  ) {
    super(what, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.where = detail.where;
    this.hint = detail.hint;
  }

  /** The whole error on one line. A path that is already the place is not named again at the end. */
  override toString(): string {
    const { where, message, hint } = this;
    const what = where !== undefined && message.endsWith(`: ${where}`) ? message.slice(0, -where.length - 2) : message;
    return `${where === undefined ? '' : `${where}: `}${what}${hint === undefined ? '' : ` (${hint})`}`;
  }
}

/** Some of several things could not be done, and the others were: the settings as a whole are usable, whatever the parts say. */
export class PartialFailure extends AggregateError {}

/** Nothing could be compared, by a command whose exit code 1 means that there is a difference. */
export class NotCompared extends AggregateError {}

/** The Faults of an error that was thrown: itself, or its parts. Throws the error again when one of them is no Fault, but a bug. */
export function faultsOf(error: unknown): readonly Fault[] {
  const faults: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  if (!faults.every((fault): fault is Fault => fault instanceof Fault)) throw error;
  return faults;
}

/** Whatever was thrown, as one line of text, which is never empty: some errors have their reason in their parts or their code only. */
export function describe(error: unknown): string {
  if (error instanceof Fault) return error.toString();
  if (error === undefined || error === null) return 'no reason was given';
  if (!(error instanceof Error)) return String(error) || 'no reason was given';
  if (error.message !== '') return withoutCode(error.message);
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(describe))].join('; ');
  }
  const code: unknown = Reflect.get(error, 'code');
  if (typeof code === 'string' && code !== '') return code;
  return error.cause === undefined ? error.name || 'no reason was given' : describe(error.cause);
}

/** Node's text of an error of the file system, `EACCES: permission denied, open '/a'`, as `permission denied: /a`. */
function withoutCode(message: string): string {
  const [, what, from, to] = /^E[A-Z0-9]+: ([^,]+), [a-z]+(?: '(.*?)')?(?: -> '(.*)')?$/s.exec(message) ?? [];
  if (what === undefined) return message;
  return `${what}${from === undefined ? '' : `: ${from}`}${to === undefined ? '' : ` to ${to}`}`;
}

/** The code that Node gives an error of the system, `ENOENT` for one. */
export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
