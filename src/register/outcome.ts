/** The result of one check. */
export type CheckOutcome = { readonly passes: true } | { readonly passes: false; readonly reason: string };

/** Asks an application once. Resolves soon after `signal` aborts, with nothing left open or running; never rejects. */
export type Probe = (signal: AbortSignal) => Promise<CheckOutcome>;

export const passes: CheckOutcome = { passes: true };
export const fails = (reason: string): CheckOutcome => ({ passes: false, reason });
