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

  /** The whole error on one line. */
  override toString(): string {
    return `${this.where === undefined ? '' : `${this.where}: `}${this.message}${this.hint === undefined ? '' : ` (${this.hint})`}`;
  }
}

/** Whatever was thrown, as one line of text. */
export function describe(error: unknown): string {
  if (error instanceof Fault) return error.toString();
  return error instanceof Error ? error.message : String(error);
}
