import { conflictNotes } from '../apply/conflict-notes.ts';
import { fieldDiffs } from '../apply/value-diff.ts';
import type { Declared } from '../declarations/declared.ts';
import { awaitFleet, describeFailure, describeProgress, type FleetProgress, isReached } from '../fleet/await-fleet.ts';
import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem } from '../model/problem.ts';
import type { Revision } from '../model/revision.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { checkDeclarations } from './check-declared.ts';
import { describeField } from './diff-text.ts';
import { done, misused } from './exit-code.ts';
import type { Invocation } from './invocation.ts';
import { colorsOf, print, printJson, warn } from './outputs.ts';
import { ownedBy, type PolicyContext, readPolicy } from './policy-context.ts';
import { whileWaiting } from './spinner.ts';
import { unorderedNote } from './unordered-note.ts';

/** etcd sends a watch the changes from before it up to 100 ms later. */
const followMs = 1000;

/** What is wrong with a policy, as `pointsman check` finds it, with HAProxy where there is one. */
export async function checkPolicy(
  invocation: Invocation,
  declared: readonly Declared[],
): Promise<{ readonly problems: readonly Problem[]; readonly notes: readonly string[] }> {
  return whileWaiting('checking; HAProxy validates a configuration of it', () =>
    checkDeclarations(invocation, { declared, problems: [] }),
  );
}

/** Nothing was written. */
export function refuse({ service, key, settings }: PolicyContext, problems: readonly Problem[]): number {
  if (settings.json) printJson({ service, key, problems });
  else for (const problem of problems) print(`pointsman: ${printable(describeProblem(problem))}\n`, process.stderr);
  return misused;
}

/** A policy that was written, or removed (`after` undefined). */
export type WrittenPolicy = {
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** Undefined: it was as wanted before, and nothing was written. */
  readonly revision: Revision | undefined;
  /** Lines for a person about what it means. */
  readonly impact: readonly string[];
  readonly notes: readonly string[];
};

/** Writes, and waits until every balancer serves it. Rejects with Fault `deadline` if that takes too long. */
export async function writeAndTell(
  { registry, key, service, settings }: PolicyContext,
  write: () => Promise<WrittenPolicy>,
): Promise<number> {
  const { json, timeoutMs } = settings;
  const fleet = timeoutMs === undefined ? undefined : new Fleet(registry);
  try {
    const following = fleet?.following(timeLimit(followMs));
    const written = await write();
    const { owner } = await readPolicy(registry, key);
    await following;
    const progress = fleet && (await served(fleet, key, written.revision, timeoutMs ?? 0));
    const conflicts = progress === undefined || fleet === undefined ? [] : conflictNotes(fleet.view, new Set([key]));
    const unordered = await unorderedNote(registry, written.after === undefined ? [] : [written.after]);
    const warnings = [
      ...written.notes,
      ...conflicts,
      ...(owner === undefined ? [] : [ownedBy(key, owner)]),
      ...(unordered === undefined ? [] : [unordered]),
    ];
    const revision = written.revision === undefined ? undefined : String(written.revision);
    if (json) {
      const balancers = progress?.kind === 'heard' ? progress.balancers : undefined;
      const fields = fieldDiffs(objectOf(written.before), objectOf(written.after));
      const reached = progress && isReached(progress);
      printJson({
        service,
        key,
        revision,
        fields,
        impact: written.impact,
        set: owner,
        served: reached,
        balancers,
        warnings,
      });
    } else tell(key, written, progress);
    if (!json) for (const warning of warnings) warn(warning);
    if (progress === undefined || isReached(progress)) return done;
    throw new Fault('deadline', describeFailure(progress, timeoutMs ?? 0), { where: key });
  } finally {
    await fleet?.close();
  }
}

async function served(
  fleet: Fleet,
  key: string,
  revision: Revision | undefined,
  timeoutMs: number,
): Promise<FleetProgress | undefined> {
  if (revision === undefined) return undefined;
  return whileWaiting('waiting until every balancer serves it', (say) =>
    awaitFleet(fleet, { revision, keys: new Set([key]) }, timeLimit(timeoutMs), (now) =>
      say(`waiting: ${describeProgress(now)}`),
    ),
  );
}

function tell(
  key: string,
  { before, after, revision, impact }: WrittenPolicy,
  progress: FleetProgress | undefined,
): void {
  const colors = colorsOf(process.stdout);
  if (revision === undefined) {
    print(`${key} is as wanted: nothing was written\n`);
    return;
  }
  const fields = fieldDiffs(objectOf(before), objectOf(after)).map((field) => `    ${describeField(field, colors)}`);
  const verb = after === undefined ? 'deleted' : before === undefined ? 'created' : 'changed';
  const by = progress?.kind === 'heard' && isReached(progress) ? servedBy(progress.balancers.length) : '';
  print(`${[`${key} ${verb} (revision ${revision})${by}`, ...fields, ...impact].join('\n')}\n`);
}

function servedBy(count: number): string {
  if (count === 0) return '; no balancer is alive';
  return count === 1 ? '; 1 balancer serves it' : `; ${count} balancers serve it`;
}

/** The fields of a policy; none for text that is no policy. */
function objectOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
