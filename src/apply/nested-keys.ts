import type { Declared } from '../declarations/declared.ts';
import type { ApplyPlan, ApplyProblem } from './plan-apply.ts';

/**
 * The plan, with a problem for each declared key below which the plan would have other keys: where keys are files, a key cannot be
 * a file and a folder.
 */
export function refusingNested(plan: ApplyPlan): ApplyPlan {
  const problems = nestedProblems(plan);
  return problems.length === 0 ? plan : { ...plan, problems: [...plan.problems, ...problems] };
}

function nestedProblems({ changes }: ApplyPlan): readonly ApplyProblem[] {
  const present = changes.filter(({ kind }) => kind !== 'remove' && kind !== 'forget');
  const declared = new Map(present.map((change) => [change.key, 'declared' in change ? change.declared : undefined]));
  const problems = new Map<string, ApplyProblem>();
  for (const { key } of present) {
    for (let end = key.lastIndexOf('/'); end > 0; end = key.lastIndexOf('/', end - 1)) {
      const folder = key.slice(0, end);
      if (declared.has(folder) && !problems.has(folder)) problems.set(folder, nested(folder, key, declared));
    }
  }
  return [...problems.values()];
}

function nested(folder: string, key: string, declaredBy: ReadonlyMap<string, Declared | undefined>): ApplyProblem {
  const below = declaredBy.get(key)?.place;
  const where = below === undefined ? 'in the registry' : `at ${below.file}:${below.line}:${below.column}`;
  return {
    declared: declaredBy.get(folder) ?? declaredBy.get(key),
    what: `${folder} cannot be a value and a folder in a directory registry`,
    hint: `${key} is below it, ${where}`,
  };
}
