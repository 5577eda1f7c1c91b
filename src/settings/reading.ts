import type { Fault } from '../model/fault.ts';

/** The values, or all mistakes at once. */
export type ReadResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Fault[] };
