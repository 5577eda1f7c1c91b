import type { Declared } from '../declarations/declared.ts';
import type { SetName } from '../model/set-name.ts';
import type { Entry, Listing } from '../registry/registry.ts';
import { bytesOf, mostSetBytes, noOwnership, type Ownership, ownedKeys, readOwnership } from './ownership.ts';
import { isSameValue } from './same-value.ts';

export type ApplyOptions = {
  readonly set: SetName;
  /** Remove what the set owns and no file declares any more. */
  readonly prune: boolean;
  /** What `prune` does not remove. */
  readonly keep?: ReadonlySet<string>;
  /** Take over keys that another set owns, or that have another value and no owner. */
  readonly take: boolean;
  /** The most keys that one apply may remove. */
  readonly maxPrune: number;
};

/** What an apply does to one key. */
export type PlannedChange =
  | { readonly kind: 'create'; readonly key: string; readonly after: string; readonly declared: Declared }
  /** The set owns the key, and its value is another one. */
  | {
      readonly kind: 'update';
      readonly key: string;
      readonly before: Entry;
      readonly after: string;
      readonly declared: Declared;
    }
  /** The key has this value already, and no owner. Only the record of the set changes. */
  | { readonly kind: 'adopt'; readonly key: string; readonly before: Entry; readonly declared: Declared }
  /** Another set owns the key, or nobody (`from` undefined) while its value is another one. `after` may be the value that it has. */
  | {
      readonly kind: 'take';
      readonly key: string;
      readonly before: Entry;
      readonly after: string;
      readonly from: SetName | undefined;
      readonly declared: Declared;
    }
  | { readonly kind: 'unchanged'; readonly key: string; readonly before: Entry; readonly declared: Declared }
  /** The set owns the key, and no file declares it any more. */
  | { readonly kind: 'remove'; readonly key: string; readonly before: Entry }
  /** The same without `--prune`, or one of `keep`: it stays, and the set still owns it. */
  | { readonly kind: 'undeclared'; readonly key: string; readonly before: Entry }
  /** The set owned the key, which is gone, or somebody else's by now. Only the record of the set changes. */
  | { readonly kind: 'forget'; readonly key: string; readonly because: string };

export type ApplyProblem = {
  /** Undefined: it is about the plan as a whole. */
  readonly declared: Declared | undefined;
  readonly what: string;
  readonly hint: string | undefined;
};

/** What an apply would do, and what keeps it from doing it. Nothing may be written while there are problems. */
export type ApplyPlan = {
  readonly set: SetName;
  /** In the order of the keys. */
  readonly changes: readonly PlannedChange[];
  readonly problems: readonly ApplyProblem[];
  readonly ownership: Ownership;
  /** What the registry was read as. */
  readonly listing: Listing;
};

/** The changes that write something: a key, or the record of the set. */
export const isChange = ({ kind }: PlannedChange): boolean => kind !== 'unchanged' && kind !== 'undeclared';

/** Compares what files declare with the registry. `listing` has the records of all sets, and the keys of `keysOf`. */
export function planApply(declared: readonly Declared[], listing: Listing, options: ApplyOptions): ApplyPlan {
  const { set } = options;
  const ownership = readOwnership(listing.entries);
  if (!ownership.ok) {
    const hint = 'write it again or remove it; the next apply with --take owns its keys again';
    const problem = { declared: undefined, what: ownership.reason, hint };
    return { set, changes: [], problems: [problem], ownership: noOwnership, listing };
  }
  const present = new Map(listing.entries.map((entry) => [entry.key, entry]));
  const owned = ownedKeys(ownership.value.sets.get(set));
  const wanted = new Set(declared.map(({ key }) => key));
  const problems: ApplyProblem[] = [];
  const changes: PlannedChange[] = [];
  for (const one of declared) {
    const change = planDeclared(one, present.get(one.key), ownership.value, options);
    if ('what' in change) problems.push(change);
    else changes.push(change);
  }
  for (const key of owned) {
    if (!wanted.has(key)) changes.push(planUndeclared(key, present.get(key), ownership.value, options));
  }
  changes.sort((one, other) => (one.key < other.key ? -1 : 1));
  problems.push(...boundProblems(changes, wanted, owned, options));
  return { set, changes, problems, ownership: ownership.value, listing };
}

function planDeclared(
  declared: Declared,
  before: Entry | undefined,
  { ownerOf }: Ownership,
  { set, take }: ApplyOptions,
): PlannedChange | ApplyProblem {
  const { key, value: after } = declared;
  const owner = ownerOf(key);
  const from = owner === set ? undefined : owner;
  if (from !== undefined && !take) {
    const hint = `remove it from the files of one of the two sets, or take it over with --take`;
    return { declared, what: `the set ${from} owns ${key}`, hint };
  }
  if (before === undefined) return { kind: 'create', key, after, declared };
  if (before.leased) {
    const hint = 'remove it from the files: apply never changes what a program registered or what ends by itself';
    return { declared, what: `${key} is under a lease of \`pointsman register\` or of an override with an end`, hint };
  }
  const same = isSameValue(key, before.value, after);
  if (owner === set) {
    return same ? { kind: 'unchanged', key, before, declared } : { kind: 'update', key, before, after, declared };
  }
  if (from !== undefined) return { kind: 'take', key, before, after: same ? before.value : after, from, declared };
  if (same) return { kind: 'adopt', key, before, declared };
  if (take) return { kind: 'take', key, before, after, from: undefined, declared };
  const hint = `\`pointsman diff --take\` shows the difference; overwrite the value with --take, or declare the value of the registry`;
  return { declared, what: `${key} has another value, which no set owns`, hint };
}

function planUndeclared(
  key: string,
  before: Entry | undefined,
  { ownerOf }: Ownership,
  { set, prune, keep }: ApplyOptions,
): PlannedChange {
  const owner = ownerOf(key);
  if (owner !== set) return { kind: 'forget', key, because: `the set ${owner} owns it` };
  if (before === undefined) return { kind: 'forget', key, because: 'it is gone' };
  if (before.leased) return { kind: 'forget', key, because: 'another program registered it' };
  return { kind: prune && keep?.has(key) !== true ? 'remove' : 'undeclared', key, before };
}

function boundProblems(
  changes: readonly PlannedChange[],
  wanted: ReadonlySet<string>,
  owned: ReadonlySet<string>,
  { set, maxPrune }: ApplyOptions,
): readonly ApplyProblem[] {
  const problems: ApplyProblem[] = [];
  const removed = changes.filter(({ kind }) => kind === 'remove');
  if (removed.length > maxPrune) {
    const first = removed.slice(0, 3).map(({ key }) => key);
    const more = removed.length > first.length ? ', …' : '';
    const what = `it would remove ${removed.length} of the ${owned.size} keys of the set ${set}, more than ${maxPrune}: ${first.join(', ')}${more}`;
    const hint = `if that is intended, allow it with --max-prune ${removed.length}`;
    problems.push({ declared: undefined, what, hint });
  }
  const bytes = bytesOf(new Set([...wanted, ...owned]));
  if (bytes > mostSetBytes) {
    const what = `the set ${set} would own ${wanted.size} keys, whose names have ${bytes} bytes together, more than ${mostSetBytes}`;
    problems.push({ declared: undefined, what, hint: 'divide the files into several sets' });
  }
  return problems;
}

/** The keys that a set owns once the plan is carried out. */
export function keysAfter({ changes }: ApplyPlan): ReadonlySet<string> {
  return new Set(changes.filter(({ kind }) => kind !== 'remove' && kind !== 'forget').map(({ key }) => key));
}
