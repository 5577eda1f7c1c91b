/** Aborts at the first SIGTERM or SIGINT, or one of `more`. The next one ends the process as it would end any other. */
export function abortOnSignal(...more: readonly NodeJS.Signals[]): {
  readonly signal: AbortSignal;
  readonly dispose: () => void;
} {
  const controller = new AbortController();
  const dispose = onSignals(['SIGTERM', 'SIGINT', ...more], () => {
    dispose();
    endWithoutReader();
    controller.abort();
  });
  return { signal: controller.signal, dispose };
}

/** The stages of an end in order. Each further signal brings the next stage. */
export type EndStages = {
  /** Aborts at the first signal. */
  readonly leaving: AbortSignal;
  /** Aborts when the end begins: at the first signal, or after the time in which the process is leaving. */
  readonly signal: AbortSignal;
  /** Begins the end. */
  readonly end: () => void;
  /** Aborts when the end is to take no longer. */
  readonly hurry: AbortSignal;
  /** The signal that says how the process ends: the last one before the end began. */
  readonly received: () => NodeJS.Signals | undefined;
};

/**
 * For a process that has something to end in order. Where `lingers` is true for the first signal, the process is leaving until `end` is
 * called or the next signal comes. The signal after the last stage ends the process as it would end any other.
 */
export function endOnSignals(names: readonly NodeJS.Signals[], lingers: (name: NodeJS.Signals) => boolean): EndStages {
  const [leaving, ending, hurrying] = [new AbortController(), new AbortController(), new AbortController()];
  let received: NodeJS.Signals | undefined;
  // Until the process is gone: a signal in its last moment changes nothing.
  const stopListening = onSignals(names, (name) => {
    if (ending.signal.aborted) {
      stopListening();
      hurrying.abort();
      return;
    }
    if (received !== undefined) {
      received = name;
      ending.abort();
      return;
    }
    received = name;
    endWithoutReader();
    // Before `leaving`, which then tells nobody of a time that there is not.
    if (!lingers(name)) ending.abort();
    leaving.abort();
  });
  return {
    leaving: leaving.signal,
    signal: ending.signal,
    end: () => ending.abort(),
    hurry: hurrying.signal,
    received: () => received,
  };
}

/** What the process prints while it ends may have no reader. That must not keep it from ending in order. */
function endWithoutReader(): void {
  process.stdout.removeAllListeners('error').on('error', () => undefined);
}

/** Calls `listener` at each of the signals, until the answer is called. */
export function onSignals(names: readonly NodeJS.Signals[], listener: (signal: NodeJS.Signals) => void): () => void {
  for (const name of names) process.on(name, listener);
  return () => {
    for (const name of names) process.off(name, listener);
  };
}
