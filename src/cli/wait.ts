import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { nameOf } from '../fleet/registrations.ts';
import { type WaitRequest, waitFor } from '../fleet/wait-for.ts';
import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import { parseTarget } from '../operate/target.ts';
import { waitCommand } from '../settings/wait.ts';
import { done, failed } from './exit-code.ts';
import { formatTable } from './format-table.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { formatOf, print, printJson } from './outputs.ts';
import { startSpinner } from './spinner.ts';
import { waitForCertificate } from './wait-certificate.ts';
import { describeMissing, describeOutcome, reportOf, type WaitReport } from './wait-report.ts';

/** The lifetime of a mark, in case that no process is left to remove it. */
const markMs = 60_000;

/** `pointsman wait SERVICE[/INSTANCE]`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(waitCommand, invocation);
  const { goal, revision, certificate, timeoutMs, admin, json } = settings.wait;
  const [operand] = invocation.operands;
  if (certificate !== undefined) {
    if (operand === undefined) return waitForCertificate({ host: certificate, timeoutMs, admin, json }, settings);
    throw new Fault('settings', 'it has no effect with --certificate', { where: operand, hint: 'leave it out' });
  }
  if (operand === undefined) {
    const hint = 'name the service or the instance, or give --certificate HOST';
    throw new Fault('settings', 'nothing to wait for is named', { where: 'pointsman wait', hint });
  }
  const request: WaitRequest = { goal, revision, subject: parseSubject(operand) };
  const name = nameOf(request.subject);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  const markKey = `waits/${randomUUID()}`;
  let marked = false;
  const spinner = startSpinner(process.stderr, `${name}: waiting for an answer of ${registry.location}`);
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const started = performance.now();
  try {
    const state = await waitFor(
      request,
      {
        registry,
        mark(signal) {
          marked = true;
          const by = invocation.machine.hostname;
          return registry.write(markKey, JSON.stringify({ by, for: name }), { ttlMs: markMs, signal });
        },
        onProgress: (now) => spinner.say(`${name}: ${describeMissing(reportOf(request, now))}`),
      },
      deadline.signal,
    );
    const tookMs = Math.round(performance.now() - started);
    spinner.stop();
    return tell(request, reportOf(request, state), { json, tookMs });
  } finally {
    spinner.stop();
    clearTimeout(timer);
    if (marked) await Promise.race([registry.remove(markKey).catch(() => undefined), pause(1000)]);
    await registry.close();
  }
}

function tell(request: WaitRequest, report: WaitReport, { json, tookMs }: { json: boolean; tookMs: number }): number {
  if (json) {
    printJson({ ...report, tookMs });
    return report.reached ? done : failed;
  }
  if (process.stdout.isTTY && report.balancers.length > 0) print(`${formatBalancers(report)}\n`);
  if (report.reached) {
    print(`${describeOutcome(request, report)} (revision ${report.revision}, ${formatDuration(tookMs)})\n`);
    return done;
  }
  const what = request.goal === 'serves' ? 'not served by every balancer' : 'not gone from every balancer';
  throw new Fault('deadline', `${what} after ${formatDuration(tookMs)}: ${describeMissing(report)}`, {
    where: nameOf(request.subject),
  });
}

function formatBalancers({ balancers, goal }: WaitReport): string {
  const { colors, width } = formatOf(process.stdout);
  const reached = goal === 'serves' ? 'serves it' : 'sends it no requests';
  const rows = balancers.map(({ balancer, missing }) => [balancer, missing ?? reached]);
  const paint = (text: string, row: number) => {
    if (row < 0) return colors.dim(text);
    return balancers[row]?.missing === undefined ? colors.green(text) : colors.yellow(text);
  };
  return formatTable(['BALANCER', 'STATE'], rows, { paint, width });
}

function parseSubject(text: string): WaitRequest['subject'] {
  const { service, scope } = parseTarget(text);
  return { service, id: scope === '*' ? undefined : scope };
}
