import type { Fault } from '../model/fault.ts';

/** The values, or every problem there is: whoever mends a settings file wants to see them all at once. */
export type ReadResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Fault[] };
