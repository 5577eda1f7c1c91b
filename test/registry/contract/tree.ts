import { afterEach, beforeEach, expect } from 'vitest';
import type { KeyRange, Registry, SessionEvent, SessionOptions } from '../../../src/registry/registry.ts';
import { until } from '../../support/until.ts';
import { Recorder } from '../recorder.ts';

/** One empty tree, and the ways to read and write it. */
export interface RegistryStore {
  /** A registry that shares nothing with the others but the store: as another process would have it. */
  open(): Registry;
  /** Writes as a person does without pointsman: `etcdctl put`, `echo value > file`. */
  writeByHand(key: string, value: string): Promise<void>;
  /** `etcdctl del`, `rm`. */
  deleteByHand(key: string): Promise<void>;
  /** Removes the store; every registry is closed by then. */
  dispose(): Promise<void>;
}

export type RegistryHarness = {
  newStore(): Promise<RegistryStore>;
  /** The shortest TTL that the registry keeps exactly. etcd's is 2 s with its default election time-out. */
  readonly ttlMs: number;
  /** How many random histories the property runs; each opens four registries. */
  readonly runs?: number;
};

export type ContractTree = ReturnType<typeof openTree>;

/** Gives each test an empty tree, and closes what the test opened. */
export function openTree(harness: RegistryHarness) {
  let store: RegistryStore;
  let opened: { close(): Promise<void> }[] = [];
  let recorders: Recorder[] = [];

  beforeEach(async () => {
    store = await harness.newStore();
  });

  afterEach(async () => {
    const violations = recorders.flatMap((recorder) => recorder.violations);
    await Promise.all(opened.map((one) => one.close()));
    opened = [];
    recorders = [];
    await store.dispose();
    expect(violations).toEqual([]);
  });

  const open = (): Registry => {
    const registry = store.open();
    opened.push(registry);
    return registry;
  };

  const follow = async (registry = open(), range?: KeyRange): Promise<Recorder> => {
    const recorder = new Recorder(registry, range);
    recorders.push(recorder);
    await recorder.started();
    return recorder;
  };

  // Long, so that a machine that is busy for some seconds ends nobody's lease; those that are to end say so.
  const lasting = 20 * harness.ttlMs;
  const openSession = (options: Partial<SessionOptions> = {}, registry = open()) => {
    const events: SessionEvent[] = [];
    const session = registry.openSession({
      ttlMs: lasting,
      mayReplace: () => false,
      ...options,
      onEvent: (event) => {
        events.push(event);
        options.onEvent?.(event);
      },
    });
    return { session, events, registry };
  };

  const expired = (what: string, condition: () => boolean) =>
    until(what, condition, { deadlineMs: 4 * harness.ttlMs + 10_000, everyMs: 5 });
  return { harness, store: () => store, open, follow, openSession, expired };
}

/** The highest revision. */
export function latest(revisions: readonly bigint[]): bigint {
  return revisions.toSorted((one, other) => Number(one - other)).at(-1) ?? 0n;
}
