import { Fault } from '../model/fault.ts';
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

/** `guards`: how many ranges each transaction compares. `operations`: how many changes and ranges the registry takes in one. */
export type StageLimits = { readonly guards: number; readonly operations: number };

const usualLimits: StageLimits = { guards: 1, operations: transactionLimits.operations };

/**
 * Divides a plan into transactions: one, if the limits allow it. Otherwise the first one says that the set owns what it will own
 * and what it still has to remove, and the last one takes away what it has removed. So an apply that ends in the middle leaves
 * nothing behind that no set owns, and the next one finishes it. Changes of policies that share a host stay together, and
 * removals come last. Throws Fault `registry-unreachable` if a registry that takes fewer operations than etcd by default has no room for what
 * has to be written together.
 */
export function stagesOf(plan: ApplyPlan, limits: StageLimits = usualLimits): readonly Stage[] {
  const { set, ownership } = plan;
  const before = ownership.sets.get(set);
  const after = keysAfter(plan);
  const groups = groupsOf(plan.changes);
  const others = takenFrom(plan, after);
  const final = partsFor(after, before);
  const whole: Stage = { changes: groups.flat(), parts: [...others, ...partWrites(set, before, final)] };
  if (operationsOf(whole) === 0) return [];
  if (isWithinLimits(whole, limits)) return [whole];

  const claimed = partsFor(new Set([...ownedKeys(before), ...after]), before);
  const room = new Room(limits);
  room.add({ changes: [], parts: [...others, ...partWrites(set, before, claimed)] });
  for (const group of groups) {
    const together = { changes: group, parts: [] };
    if (isWithinLimits(together, limits)) room.add(together);
    else if (isWithinLimits(together, { ...limits, operations: transactionLimits.operations }))
      throw noRoom(limits, group);
    else for (const change of group) room.add({ changes: [change], parts: [] });
  }
  room.add({ changes: [], parts: partWrites(set, claimed, partsFor(after, claimed)) });
  const stages = room.stages.filter((stage) => operationsOf(stage) > 0);
  const large = stages.find((stage) => operationsOf(stage) + limits.guards > limits.operations);
  if (large !== undefined && limits.operations < transactionLimits.operations) {
    throw noRoom(limits, [...large.changes, ...large.parts]);
  }
  return stages;
}

function noRoom({ operations, guards }: StageLimits, together: readonly { readonly key: string }[]): Fault {
  const some = together.slice(0, 5).map(({ key }) => key);
  const more = together.length > some.length ? ` and ${together.length - some.length} more` : '';
  const needed = together.length + guards;
  return new Fault(
    'registry-unreachable',
    `etcd takes ${operations} operations in a transaction, and ${some.join(', ')}${more} belong into one of ${needed}`,
    { hint: 'start etcd with --max-txn-ops=128, its default, or with more' },
  );
}

type OpenStage = { changes: GuardedChange[]; parts: PartWrite[]; bytes: number };

/** Fills one transaction after the other, in order. */
class Room {
  readonly #limits: StageLimits;
  readonly #stages: OpenStage[] = [];

  constructor(limits: StageLimits) {
    this.#limits = limits;
  }

  get stages(): readonly Stage[] {
    return this.#stages.map(({ changes, parts }) => ({ changes, parts }));
  }

  /** Adds these to the last transaction if there is room for all of them, otherwise to a new one. */
  add(more: Stage): void {
    const last = this.#stages.at(-1);
    const bytes = bytesOfStage(more);
    const hasRoom =
      last !== undefined &&
      operationsOf(last) + operationsOf(more) + this.#limits.guards <= this.#limits.operations &&
      last.bytes + bytes <= transactionLimits.bytes &&
      // A transaction may change a key once.
      !more.parts.some(({ key }) => last.parts.some((other) => other.key === key));
    if (hasRoom) {
      last.changes.push(...more.changes);
      last.parts.push(...more.parts);
      last.bytes += bytes;
    } else this.#stages.push({ changes: [...more.changes], parts: [...more.parts], bytes });
  }
}

const operationsOf = ({ changes, parts }: Stage): number => changes.length + parts.length;

function bytesOfStage({ changes, parts }: Stage): number {
  let bytes = 0;
  for (const change of changes) bytes += changeBytes(change);
  for (const { key, value } of parts) bytes += changeBytes({ key, value, since: undefined });
  return bytes;
}

const isWithinLimits = (stage: Stage, { operations, guards }: StageLimits): boolean =>
  operationsOf(stage) + guards <= operations && bytesOfStage(stage) <= transactionLimits.bytes;

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
