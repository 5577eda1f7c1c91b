import { setTimeout as pause } from 'node:timers/promises';
import type { Declared } from '../declarations/declared.ts';
import { Fault } from '../model/fault.ts';
import { areaOfKey, serviceOfKey } from '../model/key.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import { type GuardedChange, keysFrom, type Registry, transactionLimits } from '../registry/registry.ts';
import { backoffMs } from '../waiting/backoff.ts';
import { withTimeLimit } from '../waiting/time-limit.ts';
import { type Stage, stagesOf } from './apply-stages.ts';
import { refusingNested } from './nested-keys.ts';
import { type ApplyOptions, type ApplyPlan, isChange, planApply } from './plan-apply.ts';
import { readForApply } from './read-for-apply.ts';

export type CarryOutParts = {
  readonly registry: Registry;
  readonly declared: readonly Declared[];
  readonly options: ApplyOptions;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Waits between two attempts, so many ms or until the signal aborts. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
};

export type CarriedOut = {
  /** With problems, nothing was written. Without changes, there was nothing to write. */
  readonly plan: ApplyPlan;
  /** The newest revision of what the set owns, and of what was written or removed. */
  readonly revision: Revision;
  /** How many transactions it took. */
  readonly transactions: number;
};

/** How long one read or one transaction may take: the registry asks its members again meanwhile, in ms. */
const callMs = 10_000;

const attempts = 10;
const backoff = { firstMs: 50, mostMs: 3000, jitter: 0.5 };

const rest = (ms: number, signal: AbortSignal): Promise<void> =>
  pause(ms, undefined, { signal }).catch(() => undefined);

/**
 * Reads the registry, and writes what the declarations change in it. If somebody else changes one of the keys meanwhile, it reads
 * and plans again. Rejects with a Fault: `conflict` if that does not end.
 */
export async function carryOut({
  registry,
  declared,
  options,
  random,
  signal,
  wait = rest,
}: CarryOutParts): Promise<CarriedOut> {
  let changed: readonly string[] = [];
  let operations: number = transactionLimits.operations;
  let transactions = 0;
  let newest = noRevision;
  /** An earlier attempt may have written a part of it. */
  let first: ApplyPlan | undefined;
  for (let attempt = 1; attempt <= attempts && !signal.aborted; attempt += 1) {
    const { listing, prefixes } = await withTimeLimit(callMs, signal, (limit) =>
      readForApply(registry, declared, options.set, limit),
    );
    const planned = planApply(declared, listing, options);
    const plan = registry.keysAreFiles ? refusingNested(planned) : planned;
    if (plan.problems.length > 0) return { plan, revision: newest, transactions };
    first ??= plan;
    const result = await writeStages(registry, plan, { prefixes, operations }, signal);
    transactions += result.transactions;
    newest = newestOf(newest, result.revision);
    if (result.most !== undefined) {
      // An etcd with a smaller `--max-txn-ops`. Nobody else is in the way, so this is no attempt.
      operations = result.most;
      attempt -= 1;
      continue;
    }
    if (result.changed === undefined) {
      const shown = transactions > 0 && !plan.changes.some(isChange) ? first : plan;
      return { plan: shown, revision: newestOf(newest, revisionOf(plan)), transactions };
    }
    changed = result.changed;
    await wait(backoffMs(backoff, attempt, random()), signal);
  }
  throw new Fault('conflict', `${describeChanged(changed)} again and again while this apply read and wrote`, {
    hint: 'run it again when the other one has ended',
  });
}

type Written = {
  readonly revision: Revision;
  readonly transactions: number;
  /** The keys that somebody else has changed; undefined: everything was written. */
  readonly changed: readonly string[] | undefined;
  /** How many operations the registry takes in one transaction, if that is fewer than were asked for. */
  readonly most?: number;
};

/**
 * A transaction writes only if all keys that were read are unchanged, also the keys that this apply leaves alone. So after two applies
 * at once, the registry has what one of them declares. Instances come and go by themselves, so they are no reason to
 * read again.
 */
async function writeStages(
  registry: Registry,
  plan: ApplyPlan,
  { prefixes, operations }: { readonly prefixes: readonly string[]; readonly operations: number },
  signal: AbortSignal,
): Promise<Written> {
  const parts = new Map(
    plan.listing.entries.map(({ key, revision }): [string, Revision | undefined] => [key, revision]),
  );
  let revision = noRevision;
  let transactions = 0;
  let since = plan.listing.revision;
  // Before the first transaction, any set may claim a key. After it, only the keys of this one matter.
  let records = keysFrom('sets/');
  const around = prefixes.filter((prefix) => areaOfKey(prefix) !== 'instances').map(keysFrom);
  for (const stage of stagesOf(plan, { guards: around.length + 1, operations })) {
    const unwritten = { ranges: [records, ...around], since };
    const transaction = { changes: changesOf(stage, parts), unwritten };
    const result = await withTimeLimit(callMs, signal, (limit) => registry.transact(transaction, limit));
    if (result.kind === 'too-many') return { revision, transactions, changed: undefined, most: result.operations };
    if (result.kind === 'changed') return { revision, transactions, changed: result.keys };
    revision = result.revision;
    transactions += 1;
    for (const { key, value } of stage.parts) parts.set(key, value === undefined ? undefined : revision);
    since = revision;
    records = keysFrom(`sets/${plan.set}/`);
  }
  return { revision, transactions, changed: undefined };
}

const changesOf = (
  { changes, parts }: Stage,
  revisions: ReadonlyMap<string, Revision | undefined>,
): readonly GuardedChange[] => [
  ...changes,
  ...parts.map(({ key, value }) => ({ key, value, since: revisions.get(key) })),
];

/** The newest revision of the entries that the plan leaves as they are. */
function revisionOf({ changes }: ApplyPlan): Revision {
  let newest = noRevision;
  for (const change of changes) {
    if (change.kind === 'unchanged' || change.kind === 'adopt') newest = newestOf(newest, change.before.revision);
  }
  return newest;
}

const newestOf = (one: Revision, other: Revision): Revision => (one > other ? one : other);

function describeChanged(keys: readonly string[]): string {
  const few = keys.slice(0, 3).map((key) => (key.startsWith('sets/') ? `the set ${serviceOfKey(key)}` : key));
  const names = [...new Set(few)].join(', ');
  const more = keys.length > few.length ? ` and ${keys.length - few.length} more keys` : '';
  return `somebody else changed ${names === '' ? 'the same keys' : names}${more}`;
}
