import { expect, test } from 'vitest';
import { parseDeclarations } from '../declarations/parse-declarations.ts';
import { revision } from '../model/revision.ts';
import { parseSetName } from '../model/set-name.ts';
import { refusingNested } from './nested-keys.ts';
import { planApply } from './plan-apply.ts';

function problemsOf(text: string) {
  const set = parseSetName('shop');
  if (!set.ok) throw new Error(set.reason);
  const { declared } = parseDeclarations('a.yaml', text);
  const listing = { revision: revision(1n), cluster: 'c', entries: [] };
  const plan = planApply(declared, listing, { set: set.value, prune: false, take: false, maxPrune: 20 });
  return refusingNested(plan).problems.map(({ declared: one, what, hint }) => [one?.place.column, what, hint]);
}

test('a key that is a value and a folder is refused at its place', () => {
  expect(problemsOf('keys: {a: x, a/b: y, a/c/d: z}')).toEqual([
    [8, 'keys/a cannot be a value and a folder in a directory registry', 'keys/a/b is below it, at a.yaml:1:14'],
  ]);
});

test('keys with a common beginning are no folders of each other', () => {
  expect(problemsOf('keys: {a: x, ab: y, "a-": {c: z}}')).toEqual([]);
});
