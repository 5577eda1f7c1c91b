import { join } from 'node:path';
import { rejecting } from '../catalog/limits.ts';
import { entryProblems } from '../check/entry-problems.ts';
import { type SampleParts, type SampleResult, trySample } from '../check/sample.ts';
import type { Declarations, Declared } from '../declarations/declared.ts';
import { readVersion } from '../haproxy/check.ts';
import { Fault, faultsOf } from '../model/fault.ts';
import { type Problem, problemAt, problemOf } from '../model/problem.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { checkCommand } from '../settings/check.ts';
import { type Invocation, readInvocation } from './invocation.ts';

/** The HAProxy that a check asks, or why it asks none. */
export type AskedHaproxy =
  | { readonly kind: 'asked'; readonly executable: string; readonly version: string }
  | { readonly kind: 'not-asked'; readonly reason: string; readonly problem?: Problem };

/**
 * Checks what files declare as `pointsman check` does, with HAProxy where there is one, and with the settings of a balancer that
 * variables and the file of the call give. Call it before anything is written.
 */
export async function checkDeclarations(invocation: Invocation, declarations: Declarations): Promise<SampleResult> {
  const { balance } = await readInvocation(checkCommand, invocation);
  const haproxy: AskedHaproxy = invocation.flags.has('without-haproxy')
    ? { kind: 'not-asked', reason: '--without-haproxy is set' }
    : await askedHaproxy(balance);
  const problem = haproxy.kind === 'asked' ? undefined : haproxy.problem;
  const { problems, notes } = await checkEntries(balance, invocation.packageFolder, declarations, haproxy);
  return { problems: problem === undefined ? problems : [problem, ...problems], notes };
}

/** Checks each entry by itself, and all that are well-formed in one configuration. */
export async function checkEntries(
  settings: BalanceSettings | undefined,
  packageFolder: string,
  { declared, problems: unread }: Declarations,
  haproxy: AskedHaproxy,
): Promise<SampleResult> {
  const problems = [...unread];
  const good: Declared[] = [];
  const reject = settings === undefined ? undefined : rejecting(settings.limits);
  for (const entry of declared) {
    const found = [...entryProblems(entry)];
    const tooLarge = reject?.(entry.key, Buffer.byteLength(entry.value));
    if (tooLarge !== undefined) found.push(problemAt(entry.place.file, entry.place, tooLarge));
    if (found.length === 0) good.push(entry);
    problems.push(...found);
  }
  if (settings === undefined) return { problems: inOrder(problems), notes: [] };
  const sample = await sampleOf(settings, packageFolder, good, haproxy.kind === 'asked' ? haproxy : undefined);
  return { ...sample, problems: [...inOrder(problems), ...sample.problems] };
}

/** Problems in the order of their files, and of their places in each. */
function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const files = new Map<string | undefined, Problem[]>();
  for (const problem of problems) {
    const some = files.get(problem.file);
    if (some === undefined) files.set(problem.file, [problem]);
    else some.push(problem);
  }
  return [...files.values()].flatMap((some) =>
    some.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)),
  );
}

/** Finds HAProxy. One that a setting names has to be there. */
export async function askedHaproxy(settings: BalanceSettings): Promise<AskedHaproxy> {
  const { haproxy } = settings;
  const executable = (haproxy.mode === 'command' ? undefined : haproxy.executable) ?? 'haproxy';
  try {
    return { kind: 'asked', executable, version: await readVersion(executable) };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'haproxy-missing') throw error;
    const missing = { kind: 'not-asked', reason: error.message } as const;
    return executable === 'haproxy' ? missing : { ...missing, problem: problemOf(error) };
  }
}

/** The result of the action; undefined: its error was added to the problems. */
export async function collecting<T>(problems: Problem[], action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    problems.push(...faultsOf(error).map(problemOf));
    return undefined;
  }
}

async function sampleOf(
  settings: BalanceSettings,
  packageFolder: string,
  entries: readonly Declared[],
  haproxy: SampleParts['haproxy'],
): Promise<SampleResult> {
  const problems: Problem[] = [];
  const shippedForHaproxy = join(packageFolder, 'haproxy');
  const templates = await collecting([], () => loadTemplates(join(packageFolder, 'templates'), settings.templates));
  // Problems of templates are found by folderProblems.
  if (templates === undefined) return { problems: [], notes: [] };
  const found = await collecting(problems, () =>
    trySample({ settings, templates, entries, haproxy, shippedForHaproxy }),
  );
  return found ?? { problems, notes: [] };
}
