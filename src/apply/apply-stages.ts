import { parseRecord } from '../model/json.ts';
import { policyKey } from '../model/key.ts';
import type { Revision } from '../model/revision.ts';
import type { SetName } from '../model/set-name.ts';
import { changeBytes, type GuardedChange, transactionLimits } from '../registry/registry.ts';
import { ownedKeys, type Parts, type PartWrite, partsFor, partWrites } from './ownership.ts';
import { type ApplyPlan, keysAfter, type PlannedChange } from './plan-apply.ts';

/** One transaction of an apply. */
export type Stage = {
  readonly changes: readonly GuardedChange[];
  /** Parts of records of sets. A part may have been written by a stage before. */
  readonly parts: readonly PartWrite[];
};

/**
 * Divides a plan into transactions: one, if the limits allow it. Otherwise the first one says that the set owns what it will own
 * and what it still has to remove, and the last one takes away what it has removed. So an apply that ends in the middle leaves
 * nothing behind that no set owns, and the next one finishes it. Changes of policies that share a host stay together, and
 * removals come last. `guards`: how many ranges each transaction compares.
 */
export function stagesOf(plan: ApplyPlan, guards = 1): readonly Stage[] {
  const fits = (stage: Stage) => isWithinLimits(stage, guards);
  const { set, ownership } = plan;
  const before = ownership.sets.get(set);
  const after = keysAfter(plan);
  const groups = groupsOf(plan.changes);
  const others = takenFrom(plan, after);
  const final = partsFor(after, before);
  const whole: Stage = { changes: groups.flat(), parts: [...others, ...partWrites(set, before, final)] };
  if (whole.changes.length + whole.parts.length === 0) return [];
  if (fits(whole)) return [whole];

  const claimed = partsFor(new Set([...ownedKeys(before), ...after]), before);
  const stages: Stage[] = [{ changes: [], parts: [...others, ...partWrites(set, before, claimed)] }];
  const add = (changes: readonly GuardedChange[], parts: readonly PartWrite[] = []) => {
    const last = stages.at(-1) ?? { changes: [], parts: [] };
    const joined = { changes: [...last.changes, ...changes], parts: [...last.parts, ...parts] };
    if (fits(joined) && !sharesPart(last.parts, parts)) stages[stages.length - 1] = joined;
    else stages.push({ changes, parts });
  };
  for (const group of groups)
    for (const part of fits({ changes: group, parts: [] }) ? [group] : pieces(group)) add(part);
  const trimmed = partWrites(set, claimed, partsFor(after, claimed));
  if (trimmed.length > 0) add([], trimmed);
  return stages.filter(({ changes, parts }) => changes.length + parts.length > 0);
}

function isWithinLimits({ changes, parts }: Stage, guards: number): boolean {
  if (changes.length + parts.length + guards > transactionLimits.operations) return false;
  let bytes = 0;
  for (const change of changes) bytes += changeBytes(change);
  for (const { key, value } of parts) bytes += changeBytes({ key, value, since: undefined });
  return bytes <= transactionLimits.bytes;
}

/** A transaction may change a key once. */
const sharesPart = (some: readonly PartWrite[], others: readonly PartWrite[]): boolean =>
  some.some(({ key }) => others.some((other) => other.key === key));

const pieces = (group: readonly GuardedChange[]) => group.map((change) => [change]);

/** The other sets without the keys that this one has afterwards. */
function takenFrom({ set, ownership }: ApplyPlan, after: ReadonlySet<string>): readonly PartWrite[] {
  const losing = new Map<SetName, Parts>();
  for (const [name, parts] of ownership.sets) {
    if (name !== set && [...parts.values()].some((keys) => keys.some((key) => after.has(key)))) losing.set(name, parts);
  }
  return [...losing].flatMap(([name, parts]) => {
    const kept = new Set([...ownedKeys(parts)].filter((key) => !after.has(key)));
    return partWrites(name, parts, partsFor(kept, parts));
  });
}

/** The writes of a plan. Those that are to be made in one revision are a group. */
function groupsOf(changes: readonly PlannedChange[]): readonly (readonly GuardedChange[])[] {
  const written = changes.flatMap((change) => writeOf(change) ?? []);
  const policies = joined(written.filter(({ change }) => isPolicy(change.key)));
  const rest = written.filter(({ change }) => !isPolicy(change.key));
  const removals = rest.filter(({ change }) => change.value === undefined);
  const writes = rest.filter(({ change }) => change.value !== undefined);
  const alone = (some: readonly Write[]) => some.map(({ change }) => [change]);
  // A policy may bring requests to a service whose instances are among the writes.
  return [...alone(writes), ...policies, ...alone(removals)];
}

type Write = { readonly change: GuardedChange; readonly before: string | undefined };

function writeOf(planned: PlannedChange): Write | undefined {
  const { key } = planned;
  const change = (value: string | undefined, since: Revision | undefined): GuardedChange => ({ key, value, since });
  switch (planned.kind) {
    case 'create':
      return { change: change(planned.after, undefined), before: undefined };
    case 'update':
      return { change: change(planned.after, planned.before.revision), before: planned.before.value };
    case 'take':
      return planned.after === planned.before.value
        ? undefined
        : { change: change(planned.after, planned.before.revision), before: planned.before.value };
    case 'remove':
      return { change: change(undefined, planned.before.revision), before: planned.before.value };
    case 'adopt':
    case 'unchanged':
    case 'undeclared':
    case 'forget':
      return undefined;
  }
}

const isPolicy = (key: string): boolean => key.startsWith(policyKey(''));

/** Joins the policies that have a host or a port in common, before or after: one may get it from the other. */
function joined(writes: readonly Write[]): readonly (readonly GuardedChange[])[] {
  const leaders = writes.map((_, index) => index);
  const leaderOf = (index: number): number => {
    let leader = index;
    while (leaders[leader] !== leader) leader = leaders[leader] ?? leader;
    leaders[index] = leader;
    return leader;
  };
  const firstWith = new Map<string, number>();
  for (const [index, { change, before }] of writes.entries()) {
    for (const claim of [...claimsOf(before), ...claimsOf(change.value)]) {
      const first = firstWith.get(claim);
      if (first === undefined) firstWith.set(claim, index);
      else leaders[leaderOf(index)] = leaderOf(first);
    }
  }
  const groups = new Map<number, GuardedChange[]>();
  for (const [index, { change }] of writes.entries()) {
    const group = groups.get(leaderOf(index));
    if (group === undefined) groups.set(leaderOf(index), [change]);
    else group.push(change);
  }
  return [...groups.values()].toSorted((one, other) => rank(one) - rank(other));
}

/** Groups that only remove come last. */
const rank = (group: readonly GuardedChange[]): number => (group.every(({ value }) => value === undefined) ? 1 : 0);

/** The hosts and the port that a policy asks for. */
function claimsOf(policy: string | undefined): readonly string[] {
  const record = parseRecord(policy ?? '{}');
  if (!record.ok) return [];
  const { value } = record;
  const routes = [Object.fromEntries(value), ...listOf(value.get('routes'))];
  const hosts = routes.flatMap((route) => listOf(hostsOf(route)).filter((host) => typeof host === 'string'));
  const port = value.get('port');
  return port === undefined ? hosts : [...hosts, `:${port}`];
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const hostsOf = (route: unknown): unknown =>
  typeof route === 'object' && route !== null && 'hosts' in route ? route.hosts : undefined;
