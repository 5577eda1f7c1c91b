import { readToken } from '../admin/token.ts';
import { type KeyDiff, keyDiffs, valuesOf } from '../apply/key-diff.ts';
import { refusingNested } from '../apply/nested-keys.ts';
import { type ApplyPlan, isChange, planApply } from '../apply/plan-apply.ts';
import { readForApply } from '../apply/read-for-apply.ts';
import type { EntryChange } from '../balance/preview/plan-answer.ts';
import { unifiedDiff } from '../files/unified-diff.ts';
import { faultsOf, NotCompared } from '../model/fault.ts';
import { areaOfKey } from '../model/key.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem } from '../model/problem.ts';
import type { Registry } from '../registry/registry.ts';
import { type AskSettings, diffCommand } from '../settings/diff.ts';
import { type RegistrySettings, rootOf } from '../settings/registry.ts';
import { readChecked } from './apply-declared.ts';
import { planProblems } from './apply-report.ts';
import { type AskedPlans, askPlans } from './ask-plans.ts';
import { findBalancers } from './balancers.ts';
import { describeDiffs, describePlans } from './diff-text.ts';
import { done, exitCodeOf, failed, misused } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { colorsOf, print, printJson, warn } from './outputs.ts';
import { whileWaiting } from './spinner.ts';

/** `pointsman diff PATH…`: 0 if apply would change nothing, 1 if it would change something, 2 after an error. */
export async function run(invocation: Invocation): Promise<number> {
  try {
    return await diff(invocation);
  } catch (error) {
    const faults = faultsOf(error);
    // An error of a setting ends with 2 in any case, and its text names the variable or the field.
    if (faults.some(({ code }) => exitCodeOf(code) === misused)) throw error;
    throw new NotCompared(faults);
  }
}

async function diff(invocation: Invocation): Promise<number> {
  const { registry: where, log, options, json, ...asking } = await readInvocation(diffCommand, invocation);
  const token = asking.adminTokenFile === undefined ? undefined : await readToken(asking.adminTokenFile);
  const checked = await whileWaiting('checking; HAProxy validates a configuration of it', () =>
    readChecked(invocation, options),
  );
  const registry = await openRegistry(where, await createLogger(log), { decoding: 'raw' });
  try {
    const { listing } = await whileWaiting(`reading ${registry.location}`, () =>
      readForApply(registry, checked.declared, options.set),
    );
    const planned = planApply(checked.declared, listing, options);
    const plan = registry.keysAreFiles ? refusingNested(planned) : planned;
    const problems = [...checked.problems, ...planProblems(plan)];
    const diffs = keyDiffs(plan);
    const changes = entryChanges(plan);
    const asked =
      asking.withoutBalancers || problems.length > 0 || changes.length === 0
        ? undefined
        : await ask(registry, { where, changes, token, ...asking });
    if (json) printJson(asJson({ plan, diffs, problems, notes: checked.notes, asked }));
    else show({ plan, diffs, problems, notes: checked.notes, asked, hasToken: token !== undefined });
    if (problems.length > 0) return misused;
    return plan.changes.some(isChange) ? failed : done;
  } finally {
    await registry.close();
  }
}

/** What HAProxy may have to do with: values under `keys/` are for other programs. */
export function entryChanges({ changes }: Pick<ApplyPlan, 'changes'>): readonly EntryChange[] {
  return changes.flatMap((change) => {
    const [before, value] = valuesOf(change);
    return before === value || areaOfKey(change.key) === 'keys' ? [] : [{ key: change.key, value }];
  });
}

type Asking = Omit<AskSettings, 'withoutBalancers' | 'adminTokenFile'> & {
  readonly where: RegistrySettings;
  readonly changes: readonly EntryChange[];
  readonly token: string | undefined;
};

async function ask(registry: Registry, { where, changes, token, admin }: Asking): Promise<AskedPlans> {
  const { entries, cluster } = await registry.read('balancers/');
  const { balancers } = await findBalancers(entries, admin, { cluster, root: rootOf(where) });
  return whileWaiting('asking each balancer what its HAProxy would do', () => askPlans(balancers, changes, token));
}

type Shown = {
  readonly plan: ApplyPlan;
  readonly diffs: readonly KeyDiff[];
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
  /** Undefined: nobody was asked. */
  readonly asked: AskedPlans | undefined;
  readonly hasToken: boolean;
};

const countUnchanged = ({ changes }: ApplyPlan): number => changes.filter(({ kind }) => kind === 'unchanged').length;

function show({ plan, diffs, problems, notes, asked, hasToken }: Shown): void {
  const colors = colorsOf(process.stdout);
  print(describeDiffs(diffs, countUnchanged(plan), colors));
  if (asked !== undefined) print(`\n${describePlans(asked, hasToken, colors) || 'no balancer is alive\n'}`);
  for (const note of notes) warn(note);
  for (const problem of problems) print(`pointsman: ${printable(describeProblem(problem))}\n`, process.stderr);
}

function asJson({ plan, diffs, problems, notes, asked }: Omit<Shown, 'hasToken'>) {
  return {
    set: plan.set,
    revision: String(plan.listing.revision),
    changes: diffs.map(({ key, kind, place, note, fields, text }) => ({
      ...{ key, kind, note, fields },
      ...(place && { file: place.file, line: place.line, column: place.column }),
      diff: text && unifiedDiff({ dest: key, before: text.before, after: text.after ?? '' }),
    })),
    unchanged: countUnchanged(plan),
    ...{ problems, notes },
    balancers: asked?.groups.map(({ balancers, plan: does }) => ({ balancers, ...does })),
    notAsked: asked?.notAsked,
  };
}
