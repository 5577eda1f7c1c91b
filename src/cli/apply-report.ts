import type { CarriedOut } from '../apply/carry-out.ts';
import type { ApplyPlan, ApplyProblem, PlannedChange } from '../apply/plan-apply.ts';
import type { Declared } from '../declarations/declared.ts';
import { type BalancerProgress, type FleetProgress, isReached, isServed } from '../fleet/await-fleet.ts';
import { showKey } from '../model/parsed.ts';
import { type Problem, problemAt } from '../model/problem.ts';
import { formatDuration } from '../model/quantity.ts';
import { formatTable } from './format-table.ts';
import type { TextFormat } from './outputs.ts';

/** An apply that has ended, for a person or a program. */
export type ApplyReport = {
  readonly set: string;
  /** Whether everything was written that had to be. */
  readonly written: boolean;
  /** Whether every live balancer serves it. Undefined: it did not wait for them. */
  readonly served: boolean | undefined;
  /** The revision that every balancer has to serve. */
  readonly revision: string | undefined;
  readonly transactions: number;
  readonly changes: readonly ChangeRow[];
  readonly unchanged: number;
  readonly balancers: readonly BalancerProgress[];
  /** Refusals of balancers, at the place of the declaration. */
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
};

export type ChangeRow = { readonly kind: PlannedChange['kind']; readonly key: string; readonly because?: string };

/** What is written or left, without what stays as it is. */
export function changeRows({ changes }: ApplyPlan): readonly ChangeRow[] {
  return changes
    .filter(({ kind }) => kind !== 'unchanged')
    .map((change) => {
      const { kind, key } = change;
      if (kind === 'take')
        return { kind, key, because: change.from === undefined ? 'no set owned it' : `from ${change.from}` };
      return kind === 'forget' ? { kind, key, because: change.because } : { kind, key };
    });
}

/** The problems of a plan at their places. */
export const planProblems = (plan: ApplyPlan): readonly Problem[] =>
  plan.problems.map(({ declared, what, hint }: ApplyProblem) =>
    declared === undefined
      ? { where: `set ${plan.set}`, file: undefined, line: undefined, column: undefined, what, hint }
      : problemAt(declared.place.file, declared.place, what, hint),
  );

/** What balancers refuse, at the place where it is declared: one problem for all balancers with one reason. */
export function refusalProblems(progress: FleetProgress, declared: readonly Declared[]): readonly Problem[] {
  if (progress.kind === 'unheard') return [];
  const byKey = new Map(declared.map((one) => [one.key, one]));
  const balancersOf = new Map<string, { key: string; reason: string; balancers: string[] }>();
  for (const { balancer, refusals } of progress.balancers) {
    for (const { key, reason } of refusals) {
      const one = balancersOf.get(`${key} ${reason}`) ?? { key, reason, balancers: [] };
      one.balancers.push(balancer);
      balancersOf.set(`${key} ${reason}`, one);
    }
  }
  return [...balancersOf.values()].map(({ key, reason, balancers }) => {
    const [who, one, name] = [balancers.join(', '), balancers.length === 1, showKey(key)];
    const place = byKey.get(key)?.place;
    if (place !== undefined) {
      return problemAt(place.file, place, `${who} ${one ? 'does' : 'do'} not serve ${name}: ${reason}`);
    }
    const what = `it was removed, and ${who} ${one ? 'keeps' : 'keep'} it: ${reason}`;
    const hint = '`pointsman release` makes balancers let go of what they hold';
    return { where: name, file: undefined, line: undefined, column: undefined, what, hint };
  });
}

export function reportOf(
  { plan, revision, transactions }: CarriedOut,
  progress: FleetProgress | undefined,
  declared: readonly Declared[],
  notes: readonly string[],
): ApplyReport {
  return {
    set: plan.set,
    written: true,
    served: progress && isReached(progress),
    revision: revision === 0n ? undefined : String(revision),
    transactions,
    changes: changeRows(plan),
    unchanged: plan.changes.filter(({ kind }) => kind === 'unchanged').length,
    balancers: progress?.kind === 'heard' ? progress.balancers : [],
    problems: progress === undefined ? [] : refusalProblems(progress, declared),
    notes,
  };
}

const words: Readonly<Record<ChangeRow['kind'], string>> = {
  create: 'created',
  update: 'updated',
  adopt: 'adopted',
  take: 'taken over',
  unchanged: 'unchanged',
  remove: 'removed',
  undeclared: 'not declared any more (--prune removes it)',
  forget: 'forgotten',
};

/** More changed keys than these are only counted. */
const mostRows = 50;

/** The changes, a line each, and their sum: `set shop: 1 created, 12 unchanged (revision 120)`. */
export function describeChanges({ set, changes, unchanged, revision }: ApplyReport, { colors }: TextFormat): string {
  const paint = (kind: ChangeRow['kind'], text: string): string => {
    if (kind === 'create') return colors.green(text);
    return kind === 'remove' ? colors.red(text) : colors.yellow(text);
  };
  const rows = changes.slice(0, mostRows).map(({ kind, key, because }) => {
    const why = because === undefined ? '' : ` (${because})`;
    return `${paint(kind, words[kind])} ${showKey(key)}${why}`;
  });
  if (changes.length > mostRows) rows.push(`and ${changes.length - mostRows} more`);
  const at = changes.length === 0 || revision === undefined ? '' : ` (revision ${revision})`;
  return `${[...rows, `set ${set}: ${countChanges(changes, unchanged)}${at}`].join('\n')}\n`;
}

/** `2 created, 1 removed, 12 unchanged`. */
export function countChanges(changes: readonly ChangeRow[], unchanged: number): string {
  const counts = new Map<string, number>();
  for (const { kind } of changes) {
    const word = kind === 'undeclared' ? 'not declared any more' : words[kind];
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const parts = [...counts].map(([word, count]) => `${count} ${word}`);
  return [...parts, `${unchanged} unchanged`].join(', ');
}

/** The balancers, on a terminal. */
export function describeBalancers(balancers: readonly BalancerProgress[], { colors, width }: TextFormat): string {
  const rows = balancers.map((one) => [one.balancer, isServed(one) ? 'serves it' : whyNot(one)]);
  const paint = (text: string, row: number) => {
    const one = balancers[row];
    if (one === undefined) return colors.dim(text);
    return isServed(one) ? colors.green(text) : colors.yellow(text);
  };
  return `${formatTable(['BALANCER', 'STATE'], rows, { paint, width })}\n`;
}

const whyNot = ({ behind, refusals }: BalancerProgress): string =>
  behind ?? `refuses ${refusals.map(({ key }) => key).join(', ')}`;

/** `3 balancers serve it (0.4 s)`. */
export function describeServed({ balancers }: ApplyReport, tookMs: number): string {
  if (balancers.length === 0) return 'no balancer is alive: nothing was waited for\n';
  const who = balancers.length === 1 ? '1 balancer serves' : `${balancers.length} balancers serve`;
  return `${who} it (${formatDuration(tookMs)})\n`;
}
