import { setTimeout as pause } from 'node:timers/promises';
import { countFaults, faultsOfVersion } from '../haproxy/known-faults.ts';
import { printable } from '../model/printable.ts';
import { formatDuration } from '../model/quantity.ts';
import { readService } from '../operate/target.ts';
import { statusCommand } from '../settings/see.ts';
import type { BalancerState } from './balancer-state.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { colorsOf, formatTable, print, printJson } from './outputs.ts';
import { unknownService } from './read-service.ts';
import { abortOnSignal } from './signals.ts';
import { formatInstances } from './status-instances.ts';
import { readStatus, type Status } from './status-read.ts';
import { shortTrouble } from './status-trouble.ts';

const everyMs = 1000;
const mostTrouble = 20;

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(statusCommand, invocation);
  const [text] = invocation.operands;
  const service = text === undefined ? undefined : readService(text);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const { signal, dispose } = abortOnSignal();
  try {
    for (;;) {
      const status = await readStatus(registry, settings, service);
      // To the top and clear what is below, so that nothing flickers.
      if (settings.watch && process.stdout.isTTY && !settings.json) process.stdout.write('\u001b[H\u001b[J');
      if (settings.json) printJson(fieldsOf(status));
      else print(format(status));
      if (!settings.watch) {
        if (service !== undefined && status.services.length === 0) throw await unknownService(registry, service);
        return status.revision === undefined ? failed : done;
      }
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return done;
    }
  } finally {
    dispose();
    await registry.close();
  }
}

function fieldsOf({ balancers, revision, ...status }: Status): object {
  return {
    ...status,
    revision: revision === undefined ? undefined : String(revision),
    balancers: balancers.map(({ id, says, admin, health: state, serves }) => ({
      id,
      revision: says?.ok ? String(says.value.revision) : undefined,
      haproxyVersion: says?.ok ? says.value.haproxyVersion : undefined,
      haproxyFaults: says?.ok ? faultsOfVersion(says.value.haproxyVersion).map(({ fault }) => fault.id) : undefined,
      admin,
      health: state,
      up: Object.fromEntries(serves.map(({ name, up }) => [name, up])),
    })),
  };
}

function format({ location, revision, balancers, services: all, instances, trouble }: Status): string {
  const colors = colorsOf(process.stdout);
  const text: string[] = [
    `${colors.bold(printable(location))}  ${revision === undefined ? colors.red('does not answer') : `revision ${revision}`}\n\n`,
  ];
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
  const versions = new Set(balancers.flatMap(({ says }) => (says?.ok ? [says.value.haproxyVersion] : [])));
  for (const version of versions) {
    const faults = countFaults(version);
    if (faults !== undefined) text.push(`${colors.yellow('note')}: ${faults}\n`);
  }
  text.push('\n');
  if (all.length === 0) text.push(`no service is ${revision === undefined ? 'known' : 'registered'}\n`);
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
    const lines = shortTrouble(trouble);
    for (const line of lines.slice(0, mostTrouble)) text.push(`  ${printable(line)}\n`);
    if (lines.length > mostTrouble) text.push(`  and ${lines.length - mostTrouble} more (--json has all)\n`);
  }
  return text.join('');
}

function stateOf({ health: state, says, admin }: BalancerState): { kind: 'good' | 'bad' | 'note'; says: string } {
  if (state === undefined) {
    const why = 'reason' in admin ? admin.reason : 'it does not answer';
    return { kind: says?.ok ? 'good' : 'note', says: says?.ok ? 'serving' : why };
  }
  if (!(state.serving ?? state.ready)) return { kind: 'bad', says: 'not serving' };
  if (state.leaving !== undefined) {
    return { kind: 'note', says: `serving; leaving, and stops in ${formatDuration(state.leaving.stopsInMs)}` };
  }
  if (!state.registry.connected) {
    return {
      kind: 'bad',
      says: `serving what it knew ${formatDuration(state.registry.staleMs)} ago: ${state.registry.reason}`,
    };
  }
  if (state.refused !== undefined) return { kind: 'bad', says: 'serving; the newest configuration was refused' };
  if (!state.ready) return { kind: 'bad', says: `serving; not ready: ${state.troubles[0]?.means ?? 'see below'}` };
  if (state.pendingReload.length > 0) return { kind: 'note', says: `a reload is due: ${state.pendingReload[0]}` };
  if (says === undefined) return { kind: 'note', says: 'serving; it does not acknowledge' };
  return { kind: 'good', says: 'serving' };
}

/** How many instances are up, as the balancers that can be asked find: `4`, or `3-4` where they disagree. */
function upOf(service: string, balancers: readonly BalancerState[]): string {
  const counts = balancers.flatMap(({ serves }) => serves.find(({ name }) => name === service)?.up ?? []);
  if (counts.length === 0) return '-';
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? String(least) : `${least}-${most}`;
}
