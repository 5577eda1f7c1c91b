import { type CarriedOut, carryOut } from '../apply/carry-out.ts';
import { conflictNotes } from '../apply/conflict-notes.ts';
import type { Declared, ReadDeclarations } from '../declarations/declared.ts';
import { readDeclarations } from '../declarations/read-declarations.ts';
import { awaitFleet, describeProgress, type FleetProgress } from '../fleet/await-fleet.ts';
import { Fleet } from '../fleet/fleet.ts';
import type { Problem } from '../model/problem.ts';
import type { Registry } from '../registry/registry.ts';
import type { ApplySettings } from '../settings/apply.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { checkDeclarations } from './check-declared.ts';
import type { Invocation } from './invocation.ts';
import { readStandardInput } from './standard-input.ts';

/** How long reading and writing may take, again and again where others write at the same time, in ms. */
const writeMs = 60_000;
/** etcd sends a watch the changes from before it up to 100 ms later. */
const followMs = 1000;

export type Checked = {
  readonly declared: readonly Declared[];
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
};

/** What the operands declare, checked as `pointsman check` does. Rejects with a Fault for a path that cannot be read. */
export async function readChecked(invocation: Invocation, options: ApplySettings['options']): Promise<Checked> {
  const declarations = await readDeclarations(invocation.operands, readStandardInput);
  const nothing = pruningAll(invocation.operands, declarations, options);
  if (nothing !== undefined) return { declared: [], problems: [nothing], notes: [] };
  const { problems, notes } = await checkDeclarations(invocation, declarations);
  return { declared: declarations.declared, problems, notes };
}

/** A checkout that failed, a volume that is not mounted or a program that wrote nothing must not remove a whole set. */
function pruningAll(
  paths: readonly string[],
  { declared, problems, namesArea }: ReadDeclarations,
  { set, prune }: ApplySettings['options'],
): Problem | undefined {
  if (!prune || namesArea || declared.length > 0 || problems.length > 0) return undefined;
  const what = `it declares nothing, so --prune would remove all that the set ${set} owns`;
  const hint = 'to remove a whole set, apply a file that has only this line: services: {}';
  const where = paths.map((path) => (path === '-' ? 'stdin' : path)).join(', ');
  return { where, file: undefined, line: undefined, column: undefined, what, hint };
}

export type Applied = CarriedOut & {
  /** Undefined: nothing was waited for. */
  readonly progress: FleetProgress | undefined;
  /** What declared services ask for and do not get, a line each. */
  readonly conflicts: readonly string[];
};

/** Writes what is declared, and waits for the balancers. Rejects with a Fault. */
export async function applyDeclared(
  registry: Registry,
  declared: readonly Declared[],
  { options, timeoutMs }: Pick<ApplySettings, 'options' | 'timeoutMs'>,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (text: string) => void },
): Promise<Applied> {
  const fleet = timeoutMs === undefined ? undefined : new Fleet(registry);
  try {
    const following = fleet?.following(timeLimit(followMs, signal));
    const writing = timeLimit(writeMs, signal);
    const carried = await carryOut({ registry, declared, options, random: Math.random, signal: writing });
    if (fleet === undefined || timeoutMs === undefined || carried.plan.problems.length > 0) {
      return { ...carried, progress: undefined, conflicts: [] };
    }
    await following;
    const written = { revision: carried.revision, keys: keysToServe(carried.plan) };
    const waiting = timeLimit(timeoutMs, signal);
    const progress = await awaitFleet(fleet, written, waiting, (now) => say(describeProgress(now)));
    return { ...carried, progress, conflicts: conflictNotes(fleet.view, written.keys) };
  } finally {
    await fleet?.close();
  }
}

/** The keys that balancers have to serve, or to serve no longer. */
const keysToServe = ({ changes }: CarriedOut['plan']): ReadonlySet<string> =>
  new Set(changes.filter(({ kind }) => kind !== 'undeclared' && kind !== 'forget').map(({ key }) => key));
