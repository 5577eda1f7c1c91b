import { traceFiles } from '../apply/files-trace.ts';
import { type ApplyAttempt, type KeepStatus, keepApplied } from '../apply/keep-applied.ts';
import { describeProgress, isReached } from '../fleet/await-fleet.ts';
import { Fault } from '../model/fault.ts';
import { describeProblem } from '../model/problem.ts';
import type { Registry } from '../registry/registry.ts';
import type { ApplySettings } from '../settings/apply.ts';
import { applyDeclared, readChecked } from './apply-declared.ts';
import { changeRows, countChanges, planProblems, refusalProblems } from './apply-report.ts';
import { done } from './exit-code.ts';
import type { Invocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { abortOnSignal } from './signals.ts';

/** `pointsman apply --watch PATH…`: until a signal. */
export async function watchDeclared(invocation: Invocation, settings: ApplySettings): Promise<number> {
  if (invocation.operands.includes('-')) throw new Fault('usage', 'standard input cannot be watched', { where: '-' });
  const logger = await createLogger(settings.log);
  const registry = await openRegistry(settings.registry, logger, { decoding: 'raw' });
  const { signal, dispose } = abortOnSignal();
  const { admin: address, adminHosts: allowed, intervalMs } = settings;
  let status: KeepStatus = {
    ready: false,
    revision: undefined,
    appliedAt: undefined,
    problems: ['nothing was applied yet'],
  };
  const hosts = address && { address, hostname: invocation.machine.hostname, allowed };
  const admin = hosts && (await import('./apply-admin.ts')).applyAdmin(hosts, logger, () => status);
  const closeAdmin = await admin?.serve();
  try {
    logger.info(
      { event: 'apply-watching', paths: invocation.operands },
      `pointsman applies ${invocation.operands.join(', ')}`,
    );
    await keepApplied(
      {
        trace: () => traceFiles(invocation.operands),
        attempt: (stop) => attempt(registry, invocation, settings, stop),
        onStatus(now) {
          status = now;
          admin?.count(now);
        },
        ...{ intervalMs, logger, now: () => performance.now(), wall: () => new Date() },
      },
      signal,
    );
    logger.info({ event: 'stopping' }, 'stopping');
  } finally {
    dispose();
    await closeAdmin?.();
    await registry.close();
  }
  return done;
}

async function attempt(
  registry: Registry,
  invocation: Invocation,
  settings: ApplySettings,
  signal: AbortSignal,
): Promise<ApplyAttempt> {
  const { declared, problems } = await readChecked(invocation, settings.options);
  if (problems.length > 0) return { kind: 'refused', problems: problems.map(describeProblem) };
  // A folder that a checkout is about to fill, or whose volume is not mounted.
  if (declared.length === 0) return { kind: 'refused', problems: ['the files declare nothing'] };
  const applied = await applyDeclared(registry, declared, settings, { signal, say: () => undefined });
  const { plan, progress, revision, transactions } = applied;
  if (plan.problems.length > 0) return { kind: 'refused', problems: planProblems(plan).map(describeProblem) };
  const refusals = progress === undefined ? [] : refusalProblems(progress, declared).map(describeProblem);
  const isServed = progress === undefined || isReached(progress);
  const unserved = refusals.length > 0 || isServed ? refusals : [describeProgress(progress)];
  const rows = changeRows(plan);
  return {
    kind: 'applied',
    revision: String(revision),
    counts: countChanges(rows, plan.changes.length - rows.length),
    changed: transactions > 0,
    balancers: progress?.kind === 'heard' ? progress.balancers.map(({ balancer }) => balancer) : [],
    unserved,
  };
}
