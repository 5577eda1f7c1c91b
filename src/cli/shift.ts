import { setTimeout as pause } from 'node:timers/promises';
import { shiftedSplit } from '../catalog/shifted-split.ts';
import { describe, Fault } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import type { Split } from '../model/policy/split.ts';
import { formatDuration } from '../model/quantity.ts';
import { readServices } from '../operate/read-services.ts';
import { readService } from '../operate/target.ts';
import type { Registry } from '../registry/registry.ts';
import { rootOf } from '../settings/registry.ts';
import { type ShiftSettings, shiftCommand } from '../settings/shift.ts';
import { findBalancers } from './balancers.ts';
import { between, countVersion } from './error-share.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { judgeStep, leastRequests, mostTimes, type StepCount } from './judge-step.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { colorsOf, print, printJson } from './outputs.ts';
import { warnOfOwner } from './policy-context.ts';
import {
  canaryText,
  editPolicy,
  leave,
  policyText,
  policyWithCanaryText,
  policyWithSplit,
  policyWithSplitText,
  splitText,
} from './policy-text.ts';
import { abortOnSignal } from './signals.ts';
import { startSpinner } from './spinner.ts';

const lookMs = 1000;

/** How a step ended. */
type StepEnd =
  | ({ readonly kind: 'held' | 'errors' | 'few' } & StepCount)
  | { readonly kind: 'blind'; readonly reason: string }
  | { readonly kind: 'stopped' };

/** The settings of the command, and the root of the tree that the balancers follow. */
type Shift = ShiftSettings & { readonly root: string | undefined };

/** `pointsman shift SERVICE --to VERSION`. */
export async function run(invocation: Invocation): Promise<number> {
  const { shift, ...settings } = await readInvocation(shiftCommand, invocation);
  const service = readService(invocation.operands[0]);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const { signal, dispose } = abortOnSignal();
  try {
    return await shiftService(registry, service, { ...shift, root: rootOf(settings.registry) }, signal);
  } finally {
    dispose();
    await registry.close();
  }
}

/** A step of the split: the percentage of the version, and the split with it. Undefined: the version has all requests already. */
type ShiftStep = {
  readonly percent: number;
  readonly split: Split | undefined;
  /** The field `canary` of the policy; undefined: none. */
  readonly canary: string | undefined;
};

/** Reads the service, and calculates the split of each step. Rejects with Fault `usage` when no instance has the version. */
async function stepsOf(
  registry: Registry,
  service: ServiceName,
  { to, weights, only }: Shift,
): Promise<readonly ShiftStep[]> {
  const now = (await readServices(registry, [service], Date.now())).services.get(service);
  const versions = new Set([...(now?.instances.values() ?? [])].map(({ version }) => version));
  if (now !== undefined && versions.has(to))
    return (only === undefined ? weights : [0, ...weights]).map((percent) => ({
      ...{ percent, split: shiftedSplit(now, to, percent) },
      // All requests go to the version at the end.
      canary: percent === 100 ? undefined : only && JSON.stringify({ version: to, ...only }),
    }));
  const known = [...versions].map((version) => version ?? '(none)').join(', ');
  throw new Fault('usage', `no instance of ${service} has the version ${to}`, {
    where: '--to',
    hint: known === '' ? 'no instance is registered' : `registered are ${known}`,
  });
}

async function shiftService(
  registry: Registry,
  service: ServiceName,
  settings: Shift,
  signal: AbortSignal,
): Promise<number> {
  const { to, weights, everyMs, only } = settings;
  const key = policyKey(service);
  const found = await policyText(registry, key);
  const before = splitText(found);
  const canaryBefore = canaryText(found);
  const steps = await stepsOf(registry, service, settings);
  const watched = settings.abortIfErrors === undefined ? [] : await adminPorts(registry, settings);
  await warnOfOwner(registry, key);
  const colors = colorsOf(process.stdout);
  const say = (event: string, text: string, fields: object) =>
    settings.json ? printJson({ event, service, to, ...fields }) : print(`${text}\n`);

  // The split that this command may change: the one from before, then each that it wrote.
  let ours = before;
  const change = async (split: string | undefined, canary: string | undefined): Promise<boolean> => {
    let foreign = false;
    await editPolicy(registry, key, (policy) => {
      foreign = splitText(policy) !== ours;
      // A policy that was made only for the split goes with it.
      if (foreign) return leave;
      const changed = policyWithSplitText(policy, split);
      return only === undefined ? changed : policyWithCanaryText(changed, canary);
    });
    if (!foreign) ours = split;
    return !foreign;
  };
  const leaveToOthers = (percent: number): number => {
    const reason = 'another program changed the split';
    say('stopped', colors.red(`  stopped: ${reason}; the split stays as it is now`), { percent, reason });
    return failed;
  };

  for (const [at, { percent, split, canary }] of steps.entries()) {
    // The version has all requests already, and no other version got any.
    if (split === undefined) {
      if (weights.at(-1) === 100) break;
      throw new Fault('usage', `${to} gets every request of ${service} already, and no other version gets any`, {
        where: '--weight',
        hint: 'shift to the version that should get requests',
      });
    }
    if (!(await change(splitText(policyWithSplit(undefined, split)), canary))) return leaveToOthers(percent);
    const whose = percent === 0 ? `requests with ${describeOnly(only)}` : `${percent}%`;
    say('step', `${service}: ${colors.bold(whose)} to ${to}`, { percent });
    // After the last step only errors can be a reason to go back.
    if (at === steps.length - 1 && watched.length === 0) break;
    const end = await watch(watched, service, settings, signal, ({ requests, failed: bad }) => {
      const longest = formatDuration(everyMs * mostTimes);
      const text = `only ${requests} requests came: pointsman watches until ${leastRequests} came, for at most ${longest} in all`;
      say('extended', colors.yellow(`  ${text}`), { percent, requests, failed: bad });
    });
    if (end.kind !== 'held' && !(await change(before, canaryBefore))) return leaveToOthers(percent);
    if (end.kind !== 'held' || watched.length > 0) {
      const { event, color, text, fields } = reportOf(end);
      say(event, colors[color](`  ${text}`), { percent, ...fields });
    }
    if (end.kind !== 'held') return failed;
  }
  say('done', colors.green(`${service}: ${weights.at(-1)}% to ${to}; done`), { percent: weights.at(-1) });
  return done;
}

function describeOnly(only: Shift['only']): string {
  if (only === undefined) return '';
  const [kind, { name, value }] =
    'header' in only ? (['the header', only.header] as const) : (['the cookie', only.cookie] as const);
  return `${kind} ${name}=${value}`;
}

/** The line and the JSON fields about the end of a step. */
function reportOf(end: StepEnd): {
  readonly event: string;
  readonly color: 'green' | 'red' | 'yellow';
  readonly text: string;
  readonly fields: object;
} {
  switch (end.kind) {
    case 'held': {
      const { requests, failed: bad } = end;
      const few = requests < leastRequests ? `; too few requests to judge (fewer than ${leastRequests})` : '';
      const text = `${bad} of ${requests} requests failed${few}`;
      return { event: 'held', color: few === '' ? 'green' : 'yellow', text, fields: { requests, failed: bad } };
    }
    case 'errors': {
      const { requests, failed: bad } = end;
      const text = `${bad} of ${requests} requests failed (${((bad / requests) * 100).toFixed(1)}%): pointsman restored the former split`;
      return { event: 'aborted', color: 'red', text, fields: { requests, failed: bad } };
    }
    case 'few': {
      const { requests, failed: bad } = end;
      const reason = `too few requests to judge: ${requests} came, and pointsman needs ${leastRequests}`;
      const text = `${reason}: pointsman restored the former split; watch longer (--every), or pass such steps (--allow-few-requests)`;
      return { event: 'aborted', color: 'red', text, fields: { requests, failed: bad, reason } };
    }
    case 'blind': {
      const text = `a balancer does not report its errors (${end.reason}): pointsman restored the former split`;
      return { event: 'aborted', color: 'red', text, fields: { reason: end.reason } };
    }
    case 'stopped':
      return { event: 'stopped', color: 'yellow', text: 'stopped: pointsman restored the former split', fields: {} };
  }
}

/** Watches one step until it is judged. Calls `extending` once when the step goes on because too few requests came. */
async function watch(
  balancers: readonly string[],
  service: ServiceName,
  { to, abortIfErrors: limit, allowFewRequests: allowFew, everyMs: stepMs }: ShiftSettings,
  signal: AbortSignal,
  extending: (seen: StepCount) => void,
): Promise<StepEnd> {
  const begins = performance.now();
  const spinner = startSpinner(process.stderr, `watching the requests of ${to}`);
  let extended = false;
  try {
    const before = await countVersion(balancers, service, to);
    for (;;) {
      const leftMs = begins + (extended ? stepMs * mostTimes : stepMs) - performance.now();
      await pause(Math.min(lookMs, Math.max(1, leftMs)), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return { kind: 'stopped' };
      const seen = between(before, await countVersion(balancers, service, to));
      const elapsedMs = performance.now() - begins;
      const judgement = judgeStep({ ...seen, elapsedMs, stepMs, limit, allowFew });
      if (judgement !== 'watch' && judgement !== 'extend') return { kind: judgement, ...seen };
      if (judgement === 'extend' && !extended) {
        extended = true;
        extending(seen);
      }
      spinner.say(
        `${formatDuration(Math.max(0, Math.round(leftMs)))} left, ${seen.failed} of ${seen.requests} requests failed`,
      );
    }
  } catch (error) {
    return { kind: 'blind', reason: describe(error) };
  } finally {
    spinner.stop();
  }
}

/** The admin port of each balancer. Rejects when one cannot be asked: its errors would not count. */
async function adminPorts(registry: Registry, { admin, root }: Shift): Promise<readonly string[]> {
  const { entries, cluster } = await registry.read('balancers/');
  const { balancers } = await findBalancers(entries, admin, { cluster, root });
  if (balancers.length === 0) {
    throw new Fault('deadline', 'no balancer is known, so pointsman cannot watch errors', {
      where: '--abort-if-errors',
    });
  }
  return balancers.map(({ id, admin: port }) => {
    if ('at' in port) return port.at;
    const hint = 'let it listen where this machine reaches it (balance --admin), or omit --abort-if-errors';
    throw new Fault('deadline', `${id} cannot be asked for its errors: ${port.reason}`, {
      where: '--abort-if-errors',
      hint,
    });
  });
}
