import { setTimeout as pause } from 'node:timers/promises';
import * as v from 'valibot';
import { withSplit } from '../catalog/split.ts';
import { formatDuration } from '../model/duration.ts';
import { Fault } from '../model/fault.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { describeConflict } from '../render/conflict.ts';
import { type SeeSettings, statusCommand } from '../settings/see.ts';
import { askAdmin, findBalancers, type KnownBalancer } from './balancers.ts';
import { colorsOf } from './colors.ts';
import { done } from './exit-code.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { catalogOf } from './read-service.ts';
import { abortOnSignal } from './signals.ts';
import { formatInstances, type InstanceState, readInstances } from './status-instances.ts';
import { formatTable } from './table.ts';

const claimants = { winner: v.optional(v.string()), loser: v.string() };
const conflict = v.variant('kind', [
  v.object({ kind: v.literal('port'), port: v.number(), ...claimants }),
  v.object({ kind: v.literal('route'), route: v.string(), ...claimants }),
]);
const health = v.looseObject({
  ready: v.boolean(),
  revisionSeen: v.optional(v.string(), '0'),
  revisionApplied: v.optional(v.string(), '0'),
  registry: v.object({ connected: v.boolean(), reason: v.optional(v.string()), staleMs: v.number() }),
  pendingReload: v.optional(v.array(v.string()), []),
  refused: v.optional(v.string()),
  drift: v.optional(
    v.looseObject({ times: v.number(), ageMs: v.number(), count: v.number(), differences: v.array(v.string()) }),
  ),
  storage: v.optional(v.array(v.looseObject({ what: v.string(), reason: v.string() })), []),
  conflicts: v.optional(v.array(conflict), []),
  guarded: v.optional(
    v.array(v.looseObject({ service: v.string(), instances: v.array(v.string()), lost: v.number(), of: v.number() })),
    [],
  ),
  quarantined: v.optional(v.array(v.looseObject({ key: v.string(), reason: v.string(), serves: v.string() })), []),
  rejected: v.optional(v.array(v.object({ key: v.string(), reason: v.string() })), []),
});
const services = v.array(v.looseObject({ name: v.string(), up: v.optional(v.number()) }));

type Health = v.InferOutput<typeof health>;
type BalancerState = KnownBalancer & {
  readonly health: Health | undefined;
  readonly up: ReadonlyMap<string, number | undefined>;
};

/** Everything that `status` shows. */
type Status = {
  readonly location: string;
  readonly revision: Revision;
  readonly balancers: readonly BalancerState[];
  readonly services: readonly {
    readonly name: string;
    readonly declared: boolean;
    readonly instances: number;
    readonly ready: number;
    readonly overrides: number;
    readonly hosts: readonly string[];
  }[];
  /** Of the one service that was asked for. */
  readonly instances: readonly InstanceState[] | undefined;
  /** What does not follow from the tables, a line each. */
  readonly trouble: readonly string[];
};

const everyMs = 1000;
const mostTrouble = 20;

/** `pointsman status`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(statusCommand, invocation);
  const service = serviceIn(invocation);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  const { signal, dispose } = abortOnSignal();
  try {
    for (;;) {
      const status = await readStatus(registry, settings, service);
      const text = settings.json ? `${toJson(status)}\n` : format(status);
      // To the top and clear what is below, so that nothing flickers.
      const begin = settings.watch && process.stdout.isTTY && !settings.json ? '\u001b[H\u001b[J' : '';
      process.stdout.write(begin + text);
      if (!settings.watch) return done;
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return done;
    }
  } finally {
    dispose();
    await registry.close();
  }
}

/** The service that was named; undefined when none was. */
function serviceIn({ operands: [text] }: Invocation): ServiceName | undefined {
  if (text === undefined) return undefined;
  const name = parseServiceName(text);
  if (!name.ok) throw new Fault('usage', name.reason);
  return name.value;
}

async function readStatus(registry: Registry, { admin }: SeeSettings, only: ServiceName | undefined): Promise<Status> {
  const { revision, entries } = await registry.read('');
  const catalog = catalogOf(entries, Date.now());
  const known = await findBalancers(
    entries.filter(({ key }) => key.startsWith('balancers/')),
    admin,
  );
  const balancers = await Promise.all(known.map(look));
  const trouble = new Set<string>();
  for (const { id, health: state, says } of balancers) {
    if (says !== undefined && !says.ok) trouble.add(`${id}: its acknowledgement cannot be read: ${says.reason}`);
    for (const { key, reason } of says?.ok ? says.value.refusals : []) {
      // What is malformed is so for everyone, and told once.
      if (!catalog.rejected.has(key)) trouble.add(`${id}: ${key}: ${reason}`);
    }
    if (state === undefined) continue;
    for (const { service, lost, of, instances } of state.guarded) {
      const held = `${instances.length} ${instances.length === 1 ? 'is' : 'are'} held`;
      trouble.add(`${id}: ${service} lost ${lost} of ${of} at once; ${held} (pointsman release ${service})`);
    }
    for (const { key, reason, serves } of state.quarantined) {
      trouble.add(
        `${id}: ${key} is quarantined (${serves === 'nothing' ? 'not served' : 'served as before'}): ${reason}`,
      );
    }
    if (state.refused !== undefined) trouble.add(`${id}: ${state.refused}`);
    for (const { what, reason } of state.storage) trouble.add(`${id}: the ${what} is not on disk: ${reason}`);
    for (const one of state.conflicts) trouble.add(`${id}: ${describeConflict(one)}`);
    if (state.drift !== undefined) trouble.add(`${id}: ${describeDrift(state.drift)}`);
  }
  for (const { key, reason } of catalog.rejected.values()) trouble.add(`${key}: ${reason}`);
  return {
    location: registry.location,
    revision,
    balancers,
    instances: only === undefined ? undefined : await readInstances(only, catalog, known),
    services: [...catalog.services.values()]
      .map(withSplit)
      .filter(({ name }) => only === undefined || name === only)
      .map(({ name, declared, instances, policy }) => ({
        name,
        declared,
        instances: instances.size,
        ready: instances.count(({ state, weight }) => state === 'ready' && weight > 0),
        overrides: catalog.overrides.get(name)?.size ?? 0,
        hosts: policy.mode === 'tcp' ? [`tcp port ${policy.port}`] : policy.routes.flatMap(({ hosts }) => hosts),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    trouble: [...trouble],
  };
}

/** `HAProxy ran something else 3s ago (2 differences, healed; 4 times in 15 minutes): server web/a …`. */
function describeDrift({ times, ageMs, count, differences }: NonNullable<Health['drift']>): string {
  const often = times === 1 ? '' : `; ${times} times in 15 minutes`;
  const what = `${count} ${count === 1 ? 'difference' : 'differences'}`;
  return `HAProxy ran something else ${formatDuration(ageMs)} ago (${what}, healed${often}): ${differences[0]}`;
}

async function look(balancer: KnownBalancer): Promise<BalancerState> {
  const { admin } = balancer;
  if ('reason' in admin) return { ...balancer, health: undefined, up: new Map() };
  try {
    const [state, served] = await Promise.all([askAdmin(admin.at, '/status'), askAdmin(admin.at, '/services')]);
    const up = new Map(v.parse(services, served).map((service) => [service.name, service.up]));
    return { ...balancer, health: v.parse(health, state), up };
  } catch {
    return { ...balancer, health: undefined, up: new Map() };
  }
}

function toJson({ balancers, revision, ...status }: Status): string {
  return JSON.stringify({
    ...status,
    revision: String(revision),
    balancers: balancers.map(({ id, says, admin, health: state, up }) => ({
      id,
      revision: says?.ok ? String(says.value.revision) : undefined,
      haproxyVersion: says?.ok ? says.value.haproxyVersion : undefined,
      admin,
      health: state,
      up: Object.fromEntries(up),
    })),
  });
}

function format({ location, revision, balancers, services: all, instances, trouble }: Status): string {
  const colors = colorsOf(process.stdout);
  const text: string[] = [`${colors.bold(location)}  revision ${revision}\n\n`];
  const states = balancers.map((balancer) => stateOf(balancer));
  const painters = { good: colors.green, bad: colors.red, note: colors.yellow };
  if (balancers.length === 0) text.push(`${colors.yellow('no balancer')} is known to the registry, nor runs here\n`);
  else {
    const rows = balancers.map(({ id, says, health: state }, row) => [
      id,
      says?.ok ? String(says.value.revision) : '-',
      state === undefined ? '-' : String(BigInt(state.revisionSeen) - BigInt(state.revisionApplied)),
      says?.ok ? says.value.haproxyVersion : '-',
      states[row]?.says ?? '',
    ]);
    text.push(
      formatTable(['BALANCER', 'SERVES REVISION', 'LAG', 'HAPROXY', 'STATE'], rows, (cell, row, column) => {
        if (row < 0) return colors.dim(cell);
        if (column === 2) return /^[-0] *$/.test(cell) ? cell : colors.yellow(cell);
        return column === 4 ? painters[states[row]?.kind ?? 'note'](cell) : cell;
      }),
    );
  }
  text.push('\n');
  if (all.length === 0) text.push('no service is registered\n');
  else {
    const ups = all.map(({ name }) => upOf(name, balancers));
    const rows = all.map(({ name, instances, ready, overrides, hosts, declared }, row) => [
      name,
      String(instances),
      String(ready),
      ups[row] ?? '-',
      overrides === 0 ? '' : String(overrides),
      hosts.length === 0 ? `${name}, ${name}.*` : `${hosts.slice(0, 3).join(', ')}${hosts.length > 3 ? ', …' : ''}`,
      declared ? '' : 'default policy',
    ]);
    text.push(
      formatTable(['SERVICE', 'INSTANCES', 'READY', 'UP', 'OVERRIDES', 'AT', ''], rows, (cell, row, column) => {
        const service = all[row];
        if (service === undefined) return colors.dim(cell);
        if (column === 2 && service.ready === 0) return colors.red(cell);
        if (column === 3 && ups[row] !== '-' && ups[row] !== String(service.ready)) return colors.yellow(cell);
        return column === 6 ? colors.dim(cell) : cell;
      }),
    );
  }
  if (instances !== undefined && instances.length > 0) text.push(`\n${formatInstances(instances, colors)}`);
  if (trouble.length > 0) {
    text.push(`\n${colors.yellow('look at this')}\n`);
    for (const line of trouble.slice(0, mostTrouble)) text.push(`  ${line}\n`);
    if (trouble.length > mostTrouble) text.push(`  and ${trouble.length - mostTrouble} more (--json has all)\n`);
  }
  return text.join('');
}

function stateOf({ health: state, says, admin }: BalancerState): { kind: 'good' | 'bad' | 'note'; says: string } {
  if (state === undefined) {
    const why = 'reason' in admin ? admin.reason : 'it does not answer';
    return { kind: says?.ok ? 'good' : 'note', says: says?.ok ? 'serving' : why };
  }
  if (!state.ready) return { kind: 'bad', says: 'not serving' };
  if (!state.registry.connected) {
    return {
      kind: 'bad',
      says: `serving what it knew ${formatDuration(state.registry.staleMs)} ago: ${state.registry.reason}`,
    };
  }
  if (state.refused !== undefined) return { kind: 'bad', says: 'serving; the newest configuration was refused' };
  if (state.pendingReload.length > 0) return { kind: 'note', says: `a reload is due: ${state.pendingReload[0]}` };
  if (says === undefined) return { kind: 'note', says: 'serving; it does not acknowledge' };
  return { kind: 'good', says: 'serving' };
}

/** How many instances are up, as the balancers that can be asked find: `4`, or `3-4` where they disagree. */
function upOf(service: string, balancers: readonly BalancerState[]): string {
  const counts = balancers.flatMap(({ up }) => up.get(service) ?? []);
  if (counts.length === 0) return '-';
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? String(least) : `${least}-${most}`;
}
