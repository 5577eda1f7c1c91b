import type { Registry } from '../registry/registry.ts';
import { startSpinner } from './spinner.ts';

/** The same registry; a person who waits for an answer of it is told so. Calls at the same time have one line. */
export function sayingWaits(registry: Registry, start: () => { readonly stop: () => void }): Registry {
  let calls = 0;
  let spinner: { readonly stop: () => void } | undefined;
  const awaited = async <T>(call: Promise<T>): Promise<T> => {
    calls += 1;
    spinner ??= start();
    try {
      return await call;
    } finally {
      calls -= 1;
      if (calls === 0) {
        spinner?.stop();
        spinner = undefined;
      }
    }
  };
  return {
    location: registry.location,
    keysAreFiles: registry.keysAreFiles,
    follow: (onEvent, range) => registry.follow(onEvent, range),
    read: (prefix, signal) => awaited(registry.read(prefix, signal)),
    write: (key, value, options) => awaited(registry.write(key, value, options)),
    replace: (key, value, since, signal) => awaited(registry.replace(key, value, since, signal)),
    transact: (transaction, signal) => awaited(registry.transact(transaction, signal)),
    remove: (key, signal) => awaited(registry.remove(key, signal)),
    openSession: (options) => registry.openSession(options),
    close: () => registry.close(),
  };
}

export const waitingFor = (location: string) => startSpinner(process.stderr, `waiting for an answer of ${location}`);
