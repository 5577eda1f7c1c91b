import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { Fault } from '../../model/fault.ts';
import { type Revision, revision } from '../../model/revision.ts';
import {
  type Follower,
  isWithin,
  type Listing,
  type Registry,
  type RegistryEvent,
  type Session,
  type SessionOptions,
  type Transaction,
  type TransactionResult,
  wholeTree,
} from '../registry.ts';
import { DirectoryFollower } from './follower.ts';
import { toEntry } from './journal-state.ts';
import { Leases } from './leases.ts';
import { directoryFault, Ledger } from './ledger.ts';
import { directoryPaths } from './paths.ts';
import { DirectorySession } from './session.ts';
import { DirectoryTree } from './tree.ts';
import { Watching } from './watching.ts';

export type DirectoryRegistryOptions = {
  /** The folder; made when it does not exist. */
  readonly path: string;
  readonly logger: Logger;
  /** How often all files are compared although no watcher spoke, in ms. Default 15 s. */
  readonly rescanMs?: number;
  /** Monotonic, in ms. */
  readonly now?: () => number;
  /** Wall clock, in ms. */
  readonly wall?: () => number;
  readonly random?: () => number;
};

/**
 * A registry that is a folder of plain files, for one host: any number of processes and containers that share it. Cheap
 * until something is followed or held; only then watchers and timers run.
 */
export function openDirectoryRegistry(options: DirectoryRegistryOptions): Registry {
  return new DirectoryRegistry(options);
}

class DirectoryRegistry implements Registry {
  readonly location: string;
  readonly keysAreFiles = true;
  readonly #options: DirectoryRegistryOptions;
  readonly #ledger: Ledger;
  readonly #tree: DirectoryTree;
  readonly #leases: Leases;
  readonly #random: () => number;
  readonly #followers = new Set<DirectoryFollower>();
  readonly #sessions = new Set<DirectorySession>();
  #watching: { readonly watching: Watching; readonly started: Promise<void> } | undefined;
  #closed = false;

  constructor(options: DirectoryRegistryOptions) {
    const { logger, now = () => performance.now(), wall = () => Date.now(), random = () => Math.random() } = options;
    const paths = directoryPaths(resolve(options.path));
    this.location = `dir:${paths.root}`;
    this.#options = options;
    this.#random = random;
    this.#ledger = new Ledger({ paths, nonce });
    this.#tree = new DirectoryTree({ paths, ledger: this.#ledger, logger, wall, random, nonce });
    this.#leases = new Leases({ paths, ledger: this.#ledger, tree: this.#tree, logger, now, wall });
  }

  follow(onEvent: (event: RegistryEvent) => void, range = wholeTree): Follower {
    this.#requireOpen();
    const onClose = async () => {
      this.#followers.delete(follower);
      await this.#restIfIdle();
    };
    const follower = new DirectoryFollower({ ledger: this.#ledger, range, onEvent, onClose });
    this.#followers.add(follower);
    void this.#watch().then(() => follower.begin());
    return follower;
  }

  async read(prefix: string): Promise<Listing> {
    this.#requireOpen();
    try {
      // No process may have run when a person changed a file.
      await this.#tree.scan(prefix.split('/').slice(0, -1).join('/'));
      if (this.#watching === undefined) await this.#leases.endSilent();
      const state = this.#ledger.state();
      const found = [...this.#ledger.visible(state)].filter(({ key }) => key.startsWith(prefix)).map(toEntry);
      found.sort((one, other) => (one.key < other.key ? -1 : 1));
      return { revision: revision(BigInt(state.revision)), cluster: state.cluster ?? '', entries: found };
    } catch (error) {
      throw directoryFault(error, this.location);
    }
  }

  async write(key: string, value: string, options: { ttlMs?: number } = {}): Promise<Revision> {
    this.#requireOpen();
    const lease = options.ttlMs === undefined ? undefined : { id: nonce(), ttlMs: options.ttlMs };
    if (lease !== undefined) {
      this.#ledger.state();
      await this.#leases.beat(lease);
    }
    const at = await this.#tree.put({ key, value, lease, may: () => true });
    if (at === undefined) throw new Error('a write that may replace everything has a revision');
    return revision(BigInt(at));
  }

  async replace(key: string, value: string | undefined, since: Revision | undefined): Promise<Revision | undefined> {
    const result = await this.transact({ changes: [{ key, value, since }] });
    return result.kind === 'done' ? result.revision : undefined;
  }

  async transact({ changes, unwritten }: Transaction): Promise<TransactionResult> {
    this.#requireOpen();
    return this.#tree.transact(changes, ({ entries }) => {
      const changed = changes.filter(({ key, since }) => {
        const present = entries.get(key);
        return since === undefined ? present !== undefined : BigInt(present?.revision ?? -1) !== since;
      });
      const written =
        unwritten === undefined
          ? []
          : [...entries.values()].filter(
              ({ key, revision }) =>
                revision > unwritten.since && unwritten.ranges.some((range) => isWithin(range, key)),
            );
      return [...new Set([...changed, ...written].map(({ key }) => key))];
    });
  }

  async remove(key: string): Promise<Revision | undefined> {
    this.#requireOpen();
    const at = await this.#tree.remove(key, () => true);
    return at === undefined ? undefined : revision(BigInt(at));
  }

  openSession(options: SessionOptions): Session {
    this.#requireOpen();
    const session = new DirectorySession({
      ledger: this.#ledger,
      tree: this.#tree,
      leases: this.#leases,
      logger: this.#options.logger,
      random: this.#random,
      lease: { id: nonce(), ttlMs: options.ttlMs },
      options,
      onClose: async () => {
        this.#sessions.delete(session);
        await this.#restIfIdle();
      },
    });
    this.#sessions.add(session);
    void this.#watch();
    return session;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const session of this.#sessions) session.abandon();
    this.#sessions.clear();
    const followers = [...this.#followers];
    await Promise.all(followers.map((follower) => follower.close()));
    await this.#rest();
    await this.#tree.close();
    this.#ledger.close();
  }

  #watch(): Promise<void> {
    if (this.#watching === undefined) {
      const parts = { paths: directoryPaths(resolve(this.#options.path)), rescanMs: this.#options.rescanMs ?? 15_000 };
      const watching = new Watching({
        ...parts,
        ledger: this.#ledger,
        tree: this.#tree,
        leases: this.#leases,
        logger: this.#options.logger,
      });
      this.#watching = { watching, started: watching.start() };
    }
    return this.#watching.started;
  }

  async #restIfIdle(): Promise<void> {
    if (this.#followers.size === 0 && this.#sessions.size === 0) await this.#rest();
  }

  async #rest(): Promise<void> {
    const current = this.#watching;
    this.#watching = undefined;
    await current?.watching.close();
  }

  #requireOpen(): void {
    if (this.#closed) throw new Fault('registry-unreachable', 'the registry was closed', { where: this.location });
  }
}

/** A name of 64 random bits, which is unique. */
const nonce = (): string => randomBytes(8).toString('hex');
