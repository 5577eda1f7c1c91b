import * as v from 'valibot';
import { describe, Fault } from '../model/fault.ts';
import { printable } from '../model/printable.ts';
import { nameOf, parseTarget } from '../operate/target.ts';
import { rootOf } from '../settings/registry.ts';
import { explainCommand } from '../settings/see.ts';
import { askAdmin, findBalancers, type KnownBalancer } from './balancers.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { formatOf, print, printJson } from './outputs.ts';
import { readIfThere } from './read-service.ts';
import { whileWaiting } from './spinner.ts';
import { wrapText } from './wrap-text.ts';

const explanation = v.object({
  verdict: v.string(),
  because: v.string(),
  findings: v.array(v.object({ stage: v.string(), state: v.string(), says: v.string() })),
});
type ReadExplanation = v.InferOutput<typeof explanation>;
type BalancerAnswer = { readonly balancer: string } & (
  | { readonly explanation: ReadExplanation }
  | { readonly unreachable: string }
);

/** `pointsman explain SERVICE/INSTANCE`. */
export async function run(invocation: Invocation): Promise<number> {
  const { json, admin, ...settings } = await readInvocation(explainCommand, invocation);
  const target = parseTarget(invocation.operands[0] ?? '');
  if (target.scope === '*') {
    const hint = 'pointsman status shows whole services';
    throw new Fault('usage', `${target.service} is a service: name an instance, as in ${target.service}/web-1`, {
      hint,
    });
  }
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    const { entries, cluster, fault } = await readIfThere(registry, 'balancers/');
    const { balancers, stranger } = await findBalancers(entries, admin, { cluster, root: rootOf(settings.registry) });
    if (balancers.length === 0) {
      const hint = stranger === undefined ? {} : { hint: stranger };
      throw fault ?? new Fault('deadline', 'the registry lists no balancer, and none runs on this machine', hint);
    }
    const path = `/explain/${target.service}/${encodeURIComponent(target.scope)}`;
    const answers = await whileWaiting('asking each balancer', () =>
      Promise.all(balancers.map((balancer) => ask(balancer, path))),
    );
    if (json) printJson(answers);
    else print(format(nameOf(target), answers));
    return answers.every((one) => 'explanation' in one && one.explanation.verdict === 'served') ? done : failed;
  } finally {
    await registry.close();
  }
}

async function ask({ id, admin }: KnownBalancer, path: string): Promise<BalancerAnswer> {
  if ('reason' in admin) return { balancer: id, unreachable: admin.reason };
  try {
    return { balancer: id, explanation: v.parse(explanation, await askAdmin(admin.at, path)) };
  } catch (error) {
    return { balancer: id, unreachable: describe(error) };
  }
}

const whatToDo = ': run the command on that machine, or give --admin HOST:PORT';

function format(name: string, answers: readonly BalancerAnswer[]): string {
  const { colors, width: columns } = formatOf(process.stdout);
  const marks: Readonly<Record<string, string>> = {
    good: colors.green('✓'),
    bad: colors.red('✗'),
    note: colors.yellow('•'),
  };
  const lines: string[] = [];
  for (const answer of answers) {
    if ('unreachable' in answer) {
      lines.push(
        `${colors.bold(answer.balancer)}: ${colors.yellow('not known')}: ${printable(answer.unreachable)}${whatToDo}`,
      );
      continue;
    }
    const { verdict, because, findings } = answer.explanation;
    const paint = verdict === 'served' ? colors.green : colors.red;
    lines.push(
      wrapText(
        `${colors.bold(answer.balancer)}: ${name} is ${paint(printable(verdict))}: ${printable(because)}`,
        columns,
        2,
      ),
    );
    const width = Math.max(...findings.map(({ stage }) => stage.length));
    for (const { stage, state, says } of findings) {
      const line = `  ${marks[state] ?? '-'} ${colors.dim(printable(stage).padEnd(width))}  ${printable(says)}`;
      lines.push(wrapText(line, columns, width + 6));
    }
  }
  return `${lines.join('\n')}\n`;
}
