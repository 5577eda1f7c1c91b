/** What one check found. */
export type Outcome = { readonly passes: true } | { readonly passes: false; readonly reason: string };

/** Asks an application once. Resolves soon after `signal` aborts, with nothing left open or running; never rejects. */
export type Probe = (signal: AbortSignal) => Promise<Outcome>;

export const passes: Outcome = { passes: true };
export const fails = (reason: string): Outcome => ({ passes: false, reason });
