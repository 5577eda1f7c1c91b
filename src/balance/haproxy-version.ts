import type { Logger } from 'pino';
import { describeFaults, faultsOfVersion } from '../haproxy/known-faults.ts';

/** `3.2.26` of `3.2.26-1+deb13u4`. */
const releaseOf = (version: string): string => /^\d+\.\d+[^\s-]*/.exec(version)?.[0] ?? version;

/** The version of the HAProxy that serves. Logs the known faults of that version. */
export class HaproxyVersion {
  readonly #logger: Logger;
  readonly #onChange: () => void;
  #current: string | undefined;

  /** `onChange` runs after HAProxy was replaced by another version, for example by an upgrade of its package and a reload. */
  constructor(logger: Logger, onChange: () => void) {
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** Undefined before HAProxy serves. */
  get current(): string | undefined {
    return this.#current;
  }

  /** The runtime connection leads to an HAProxy of this version. */
  onConnected(version: string): void {
    const before = this.#current;
    const haproxy = releaseOf(version);
    this.#current = haproxy;
    if (before === undefined || before === haproxy) return;
    const text = `HAProxy ${haproxy} now runs instead of ${before}`;
    this.#logger.info({ event: 'haproxy-version-changed', haproxy, before }, text);
    this.logFaults();
    this.#onChange();
  }

  /** For an HAProxy without a runtime connection. */
  onStarted(version: string | undefined): void {
    this.#current ??= version;
  }

  logFaults(): void {
    const haproxy = this.#current;
    const text = haproxy === undefined ? undefined : describeFaults(haproxy);
    if (haproxy === undefined || text === undefined) return;
    this.#logger.warn(
      { event: 'haproxy-faults', haproxy, faults: faultsOfVersion(haproxy).map(({ fault }) => fault.id) },
      text,
    );
  }
}
