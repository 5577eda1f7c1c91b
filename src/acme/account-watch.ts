import { accountKey } from '../model/acme/keys.ts';
import type { SealingKeys } from '../model/acme/sealing.ts';
import type { Entry, Follower, Registry } from '../registry/registry.ts';
import { keyMismatchOf } from './key-mismatch.ts';

export type AccountWatchParts = {
  readonly registry: Pick<Registry, 'follow'>;
  /** The address of the authority's directory. */
  readonly directory: string;
  readonly sealingKeys: () => SealingKeys | undefined;
  /** Called when it is another one than before; undefined: the account can be opened, or there is none. */
  readonly onProblem: (reason: string | undefined) => void;
};

/**
 * Whether this balancer can open the fleet's account. Before there is one, nothing tells which balancers have the right file of keys: the first
 * that leads makes the account with its own. So the others look at it while they stand by.
 */
export class AccountWatch {
  readonly #parts: AccountWatchParts;
  readonly #follower: Follower;
  #entry: Pick<Entry, 'key' | 'value'> | undefined;
  #problem: string | undefined;

  constructor(parts: AccountWatchParts) {
    this.#parts = parts;
    const range = { first: accountKey, end: `${accountKey}\0` };
    this.#follower = parts.registry.follow((event) => {
      if (event.kind === 'snapshot') this.#entry = event.entries.get(accountKey);
      if (event.kind === 'changes') {
        for (const change of event.changes) this.#entry = change.kind === 'put' ? change.entry : undefined;
      }
      this.look();
    }, range);
  }

  /** To be called when the sealing keys may have changed. */
  look(): void {
    const { directory, sealingKeys, onProblem } = this.#parts;
    const keys = sealingKeys();
    const entries = this.#entry === undefined ? [] : [this.#entry];
    const problem = keys === undefined ? undefined : keyMismatchOf(entries, directory, keys);
    if (problem === this.#problem) return;
    this.#problem = problem;
    onProblem(problem);
  }

  async close(): Promise<void> {
    await this.#follower.close();
  }
}
