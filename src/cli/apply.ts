import { describeFailure, type FleetProgress } from '../fleet/await-fleet.ts';
import { Fault } from '../model/fault.ts';
import { areaOfKey } from '../model/key.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem, problemOf } from '../model/problem.ts';
import { type ApplySettings, applyCommand } from '../settings/apply.ts';
import { applyDeclared, type Checked, readChecked } from './apply-declared.ts';
import {
  type ApplyReport,
  describeBalancers,
  describeChanges,
  describeServed,
  planProblems,
  reportOf,
} from './apply-report.ts';
import { done, failed, misused } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { formatOf, print, printJson, warn } from './outputs.ts';
import { abortOnSignal } from './signals.ts';
import { whileWaiting } from './spinner.ts';
import { unorderedNote } from './unordered-note.ts';

/** `pointsman apply PATH…`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(applyCommand, invocation);
  if (settings.watch) return (await import('./apply-watch.ts')).watchDeclared(invocation, settings);
  const checked = await whileWaiting('checking; HAProxy validates a configuration of it', () =>
    readChecked(invocation, settings.options),
  ).catch((error: unknown) => {
    if (settings.json && error instanceof Fault && error.code === 'usage') return problemsAlone([problemOf(error)]);
    throw error;
  });
  if (checked.problems.length > 0) return refuse(checked.problems, settings);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log), { decoding: 'raw' });
  const { signal, dispose } = abortOnSignal();
  try {
    const started = performance.now();
    const applied = await whileWaiting(`waiting for an answer of ${registry.location}`, (say) =>
      applyDeclared(registry, checked.declared, settings, { signal, say }),
    );
    if (applied.plan.problems.length > 0) return refuse(planProblems(applied.plan), settings);
    const policies = checked.declared.filter(({ key }) => areaOfKey(key) === 'services').map(({ value }) => value);
    const unordered = await unorderedNote(registry, policies);
    const notes = [...checked.notes, ...applied.conflicts, ...(unordered === undefined ? [] : [unordered])];
    const report = reportOf(applied, applied.progress, checked.declared, notes);
    return tell(report, applied.progress, settings, Math.round(performance.now() - started));
  } finally {
    dispose();
    await registry.close();
  }
}

const problemsAlone = (problems: readonly Problem[]): Checked => ({ declared: [], problems, notes: [] });

/** Nothing was written. */
function refuse(problems: readonly Problem[], { json, options }: ApplySettings): number {
  if (json) printJson({ set: options.set, written: false, problems });
  else {
    for (const problem of problems) print(`${printable(describeProblem(problem))}\n`, process.stderr);
    const count = `${problems.length} problem${problems.length === 1 ? '' : 's'}`;
    print(`pointsman: ${count}: nothing was written\n`, process.stderr);
  }
  return misused;
}

function tell(
  report: ApplyReport,
  progress: FleetProgress | undefined,
  { json, timeoutMs }: ApplySettings,
  tookMs: number,
): number {
  const code = report.served === false ? failed : done;
  if (json) {
    printJson({ ...report, tookMs });
    return code;
  }
  const format = formatOf(process.stdout);
  print(describeChanges(report, format));
  for (const note of report.notes) warn(note);
  if (progress === undefined) return code;
  if (process.stdout.isTTY && report.balancers.length > 0) print(describeBalancers(report.balancers, format));
  if (report.served === true) {
    print(describeServed(report, tookMs));
    return code;
  }
  for (const problem of report.problems) print(`${printable(describeProblem(problem))}\n`, process.stderr);
  throw new Fault('deadline', describeFailure(progress, timeoutMs ?? 0), { where: `set ${report.set}` });
}
