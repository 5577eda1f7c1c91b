/** Aborts at the first SIGTERM or SIGINT, or one of `more`. The next one ends the process as it would end any other. */
export function abortOnSignal(...more: readonly NodeJS.Signals[]): {
  readonly signal: AbortSignal;
  readonly dispose: () => void;
} {
  const controller = new AbortController();
  const endings = ['SIGTERM', 'SIGINT', ...more] as const;
  const onSignal = () => {
    dispose();
    // It is ending: what it still says may reach nobody, and must not cut short what it undoes.
    process.stdout.removeAllListeners('error').on('error', () => undefined);
    controller.abort();
  };
  const dispose = () => {
    for (const name of endings) process.off(name, onSignal);
  };
  for (const name of endings) process.on(name, onSignal);
  return { signal: controller.signal, dispose };
}

/** Calls `listener` at each of the signals, until the answer is called. */
export function onSignals(names: readonly NodeJS.Signals[], listener: (signal: NodeJS.Signals) => void): () => void {
  for (const name of names) process.on(name, listener);
  return () => {
    for (const name of names) process.off(name, listener);
  };
}
