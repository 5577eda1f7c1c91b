import { setTimeout as pause } from 'node:timers/promises';
import * as v from 'valibot';
import { describe, Fault } from '../model/fault.ts';
import type { LogEvent } from '../model/log-event.ts';
import { printable } from '../model/printable.ts';
import { rootOf } from '../settings/registry.ts';
import { eventsCommand } from '../settings/see.ts';
import { askAdmin, findBalancers } from './balancers.ts';
import { formatEvent } from './event-lines.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { logEvent } from './log-event-schema.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { formatOf, print, printJson } from './outputs.ts';
import { readIfThere } from './read-service.ts';
import { abortOnSignal } from './signals.ts';

const event = v.looseObject({ ...logEvent.entries, id: v.number() });
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
        else {
          const balancer = reachable.length > 1 ? one.balancer : undefined;
          print(formatEvent(one.event, { ...formatOf(process.stdout), balancer }));
        }
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
