import type { Follower, Registry } from '../registry/registry.ts';

/** Watches a key that another process holds, so that a wait for it ends at the next change. */
export class KeyWatch {
  readonly #follower: Follower | undefined;
  readonly #onClose: () => void;
  #changed = false;
  #wake: (() => void) | undefined;

  /** Without a registry it only waits. */
  constructor(registry: Registry | undefined, key: string, onClose: () => void = () => undefined) {
    this.#onClose = onClose;
    this.#follower = registry?.follow(
      ({ kind }) => {
        if (kind !== 'snapshot' && kind !== 'changes') return;
        this.#changed = true;
        this.#wake?.();
      },
      { first: key, end: `${key}\0` },
    );
  }

  /** Resolves when the key changed since the last call, or after `ms`. Rejects when `signal` aborts. */
  next(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        this.#wake = undefined;
        if (signal.aborted) return reject(signal.reason);
        this.#changed = false;
        resolve();
      };
      const timer = setTimeout(finish, ms);
      this.#wake = finish;
      signal.addEventListener('abort', finish, { once: true });
      if (this.#changed || signal.aborted) finish();
    });
  }

  async close(): Promise<void> {
    await this.#follower?.close();
    this.#onClose();
  }
}
