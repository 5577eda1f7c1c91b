import { setTimeout as pause } from 'node:timers/promises';
import * as v from 'valibot';
import { describe, Fault } from '../model/fault.ts';
import { clausesOf, type LogEvent, sentenceOf } from '../model/log-event.ts';
import { printable } from '../model/printable.ts';
import { formatDuration } from '../model/quantity.ts';
import { rootOf } from '../settings/registry.ts';
import { eventsCommand } from '../settings/see.ts';
import { askAdmin, findBalancers } from './balancers.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { colorsOf, print, printJson } from './outputs.ts';
import { readIfThere } from './read-service.ts';
import { abortOnSignal } from './signals.ts';

// The log has lines of HAProxy's too: a field of another type is left out, and the rest of the line is shown.
const soft = <const S extends v.GenericSchema>(schema: S) => v.fallback(v.optional(schema), undefined);
const texts = v.array(v.string());
const event = v.looseObject({
  id: v.number(),
  time: v.string(),
  level: v.string(),
  event: soft(v.string()),
  msg: soft(v.string()),
  revision: soft(v.string()),
  ms: soft(v.number()),
  stages: soft(v.record(v.string(), v.number())),
  what: soft(texts),
  reasons: soft(texts),
  differences: soft(texts),
  why: soft(v.string()),
  reason: soft(v.string()),
  key: soft(v.string()),
  line: soft(v.string()),
});
type BalancerEvent = { readonly balancer: string; readonly event: LogEvent };

const everyMs = 1000;

export async function run(invocation: Invocation): Promise<number> {
  const { json, admin, most, follow, ...settings } = await readInvocation(eventsCommand, invocation);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const { signal, dispose } = abortOnSignal();
  try {
    const { entries, cluster, fault } = await readIfThere(registry, 'balancers/');
    const { balancers, stranger } = await findBalancers(entries, admin, { cluster, root: rootOf(settings.registry) });
    const reachable = balancers.flatMap(({ id, admin: port }) => ('at' in port ? [{ id, at: port.at }] : []));
    if (reachable.length === 0) {
      if (fault !== undefined) throw fault;
      const hint =
        stranger ?? 'run the command on the machine of a balancer, or name its admin port: --admin HOST:PORT';
      throw new Fault('deadline', 'no balancer can be reached from here', { hint });
    }
    const newest = new Map<string, number>();
    // All events between two requests are printed; only the first answer is cut.
    for (let bound = most; ; bound = 500) {
      const told: BalancerEvent[] = [];
      for (const { id, at } of reachable) {
        const after = newest.get(id) ?? 0;
        try {
          const events = v.parse(v.array(event), await askAdmin(at, `/events?after=${after}&most=${bound}`));
          newest.set(id, events.at(-1)?.id ?? after);
          told.push(...events.map((one) => ({ balancer: id, event: one })));
        } catch (error) {
          print(`${printable(`${id}: ${describe(error)}`)}\n`, process.stderr);
        }
      }
      told.sort((a, b) =>
        a.event.time < b.event.time ? -1 : a.event.time > b.event.time ? 1 : a.event.id - b.event.id,
      );
      for (const one of told) {
        if (json) printJson({ balancer: one.balancer, ...one.event });
        else print(format(one, reachable.length > 1));
      }
      if (!follow || signal.aborted) return done;
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return done;
    }
  } finally {
    dispose();
    await registry.close();
  }
}

function format({ balancer, event: raw }: BalancerEvent, several: boolean): string {
  const colors = colorsOf(process.stdout);
  const one = printableFields(raw);
  const paint = one.level === 'error' ? colors.red : one.level === 'warn' ? colors.yellow : (text: string) => text;
  const head = [
    colors.dim(one.time.slice(11, 23)),
    ...(several ? [colors.bold(printable(balancer))] : []),
    paint(one.event ?? ''),
  ];
  const sentence = sentenceOf(one);
  const told = [
    ...(one.revision === undefined ? [] : [`revision ${one.revision}`]),
    ...(one.ms === undefined ? [] : [colors.cyan(formatDuration(one.ms))]),
    ...(one.key === undefined ? [] : [one.key]),
    ...(sentence === undefined ? [] : [sentence]),
  ];
  const stages = Object.entries(one.stages ?? {}).map(([stage, ms]) => `${printable(stage)} ${formatDuration(ms)}`);
  const lines = [
    `${head.join(' ')} ${told.join('  ')}${stages.length > 0 ? colors.dim(`  (${stages.join(', ')})`) : ''}`,
  ];
  for (const clause of clausesOf(one)) lines.push(`             ${colors.dim(clause)}`);
  return `${lines.join('\n')}\n`;
}

/** A reason may come from HAProxy and have several lines: each event gets a line of its own. */
function printableFields(event: LogEvent): LogEvent {
  const shown = (value: unknown): unknown => {
    if (typeof value === 'string') return printable(value.trim().replace(/\s*\n\s*/g, ' '));
    return Array.isArray(value) ? value.map(shown) : value;
  };
  return { ...event, ...Object.fromEntries(Object.entries(event).map(([name, value]) => [name, shown(value)])) };
}
