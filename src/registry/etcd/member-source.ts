import { performance } from 'node:perf_hooks';
import { describe } from '../../model/fault.ts';

/** A member of the cluster: `host:port` with an IP address, and the name that its certificate has to have. */
export type Member = {
  readonly address: string;
  /** Undefined: the address itself. */
  readonly serverName: string | undefined;
  /** Whether it is to be asked before those that are not: a host may have addresses that this machine does not reach. */
  readonly preferred: boolean;
};

/** Finds the members once. Rejects with an Error that says why there are none. */
export type FindMembers = () => Promise<readonly Member[]>;

/** Members that are never looked up. */
export const givenMembers = (addresses: readonly string[]): readonly Member[] =>
  addresses.map((address) => ({ address, serverName: undefined, preferred: true }));

export type MemberSourceOptions = {
  readonly find: FindMembers;
  /** Monotonic, in ms. */
  readonly now?: () => number;
};

// In ms. A reconnection asks for the members, and reconnections come in bursts.
const staleMs = 1000;
// Less than any wait for the registry. A lookup of the C library cannot be cancelled, and goes on.
const findMs = 2500;

/**
 * The members as they are found now. Returns the last result at once, and looks again meanwhile when that is older than a
 * second: an unavailable nameserver delays nothing once the members are known, and members that moved are found by the
 * reconnections that their move causes. One search at a time, because each may occupy a thread for long.
 */
export class MemberSource {
  readonly #find: FindMembers;
  readonly #now: () => number;
  #known: readonly Member[] | undefined;
  #foundAt = Number.NEGATIVE_INFINITY;
  #finding: Promise<readonly Member[]> | undefined;
  #trouble: string | undefined;

  constructor({ find, now = () => performance.now() }: MemberSourceOptions) {
    this.#find = find;
    this.#now = now;
  }

  /** Rejects with an Error when nothing was ever found and nothing is found in time. */
  async members(): Promise<readonly Member[]> {
    if (this.#known === undefined) return inTime(this.#search());
    if (this.#now() - this.#foundAt >= staleMs) this.#search().catch(() => undefined);
    return this.#known;
  }

  /** The reason with which a member failed, and why the members could not be looked for again, if they could not. */
  explain(reason: string): string {
    return this.#trouble === undefined || reason === this.#trouble ? reason : `${reason}; ${this.#trouble}`;
  }

  #search(): Promise<readonly Member[]> {
    this.#finding ??= this.#find()
      .then(
        (found) => {
          this.#known = found;
          this.#foundAt = this.#now();
          this.#trouble = undefined;
          return found;
        },
        (error: unknown) => {
          this.#trouble = describe(error);
          throw error;
        },
      )
      .finally(() => {
        this.#finding = undefined;
      });
    return this.#finding;
  }
}

function inTime<T>(search: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no nameserver answered in ${findMs / 1000} s`)), findMs);
    search.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
