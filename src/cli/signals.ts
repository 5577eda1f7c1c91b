/** Aborts at the first SIGTERM or SIGINT, or one of `more`. The next one ends the process as it would end any other. */
export function abortOnSignal(...more: readonly NodeJS.Signals[]): {
  readonly signal: AbortSignal;
  readonly dispose: () => void;
} {
  const controller = new AbortController();
  const endings = ['SIGTERM', 'SIGINT', ...more] as const;
  const onSignal = () => {
    dispose();
    // It is ending: what it still prints may have no reader, and must not cut short what it undoes.
    process.stdout.removeAllListeners('error').on('error', () => undefined);
    controller.abort();
  };
  const dispose = () => {
    for (const name of endings) process.off(name, onSignal);
  };
  for (const name of endings) process.on(name, onSignal);
  return { signal: controller.signal, dispose };
}

/**
 * For a process that has something to end in order. `signal` aborts at the first of `names`, `hurry` at the second; the
 * third one ends the process as it would end any other. `received` returns the first one's name.
 */
export function endOnSignals(...names: readonly NodeJS.Signals[]): {
  readonly signal: AbortSignal;
  readonly hurry: AbortSignal;
  readonly received: () => NodeJS.Signals | undefined;
} {
  const [ending, hurrying] = [new AbortController(), new AbortController()];
  let received: NodeJS.Signals | undefined;
  // Until the process is gone: a signal in its last moment changes nothing.
  const stopListening = onSignals(names, (name) => {
    if (ending.signal.aborted) {
      stopListening();
      hurrying.abort();
      return;
    }
    received = name;
    // Nobody may read stdout any more, and that must not keep the process from ending in order.
    process.stdout.removeAllListeners('error').on('error', () => undefined);
    ending.abort();
  });
  return { signal: ending.signal, hurry: hurrying.signal, received: () => received };
}

/** Calls `listener` at each of the signals, until the answer is called. */
export function onSignals(names: readonly NodeJS.Signals[], listener: (signal: NodeJS.Signals) => void): () => void {
  for (const name of names) process.on(name, listener);
  return () => {
    for (const name of names) process.off(name, listener);
  };
}
