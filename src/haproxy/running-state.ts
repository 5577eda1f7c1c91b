import { isIP } from 'node:net';
import type { InstanceId } from '../model/name.ts';
import { parseRouteTarget, type RouteTarget } from '../model/route-target.ts';
import type { Rendered, RenderedBackend } from '../render/rendered.ts';
import type { Routes } from '../render/routes.ts';
import { unexpectedAnswer } from './answers.ts';
import type { PendingServers } from './plan.ts';
import { formatServerLine, parseServerLine, type ServerLine } from './server-line.ts';

/** A server as HAProxy itself says it is. */
export type RunningServer = {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  /** In maintenance by command, or by `disabled` in the file. */
  readonly disabled: boolean;
  /** An operator or an agent has it take no new requests (`set server … state drain`). */
  readonly drained: boolean;
  /** Its health check passes, or it has none. */
  readonly up: boolean;
  /** For how many seconds it has been so, and the status and result of its last check, in HAProxy's numbers. */
  readonly lastCheck?: readonly [sinceS: string, status: string, result: string];
};

/** The actual state of HAProxy, read from its worker. */
export type RunningState = {
  /** By backend, by server. A backend without servers is not listed by HAProxy. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, RunningServer>>;
  readonly routes: ReadonlyMap<string, string>;
  readonly backends: ReadonlySet<string>;
};

// Of srv_admin_state: in maintenance by command, or by `disabled` in the file. Its neighbour 0x04 only remembers that the
// file said so, and stays set after the server was made ready (seen on 2.6).
const forcedMaintenance = 0x01;
// Set by `set server … state drain` and by an agent that says `drain`. A weight of 0 does not set it.
const forcedDrain = 0x08;
const stateColumns = ['be_name', 'srv_name', 'srv_addr', 'srv_op_state', 'srv_admin_state', 'srv_uweight', 'srv_port'];
const checkColumns = ['srv_time_since_last_change', 'srv_check_status', 'srv_check_result'] as const;

/**
 * Reads the answer to `show servers state`. Columns are found by their heading, which HAProxy has extended before. Throws a
 * Fault `haproxy-runtime` for an answer without one.
 */
export function parseServersState(answer: string): Map<string, Map<string, RunningServer>> {
  const backends = new Map<string, Map<string, RunningServer>>();
  const lines = answer.split('\n');
  const heading =
    lines
      .find((line) => line.startsWith('# '))
      ?.slice(2)
      .split(' ') ?? [];
  if (!stateColumns.every((name) => heading.includes(name))) throw unexpectedAnswer('show servers state', answer);
  const column = (name: string) => heading.indexOf(name);
  const backend = column('be_name');
  const server = column('srv_name');
  const host = column('srv_addr');
  const operation = column('srv_op_state');
  const admin = column('srv_admin_state');
  const weight = column('srv_uweight');
  const port = column('srv_port');
  const [since, status, result] = checkColumns.map(column);
  for (const line of lines) {
    const cells = line.split(' ');
    const backendName = cells[backend];
    const serverName = cells[server];
    if (
      line.startsWith('#') ||
      cells.length < heading.length ||
      backendName === undefined ||
      serverName === undefined
    ) {
      continue;
    }
    let servers = backends.get(backendName);
    if (servers === undefined) {
      servers = new Map();
      backends.set(backendName, servers);
    }
    const state = Number(cells[admin]);
    servers.set(serverName, {
      host: cells[host] ?? '',
      port: Number(cells[port]),
      weight: Number(cells[weight]),
      up: cells[operation] !== '0',
      disabled: (state & forcedMaintenance) !== 0,
      drained: (state & forcedDrain) !== 0,
      lastCheck: [cells[since ?? -1] ?? '0', cells[status ?? -1] ?? '0', cells[result ?? -1] ?? '0'],
    });
  }
  return backends;
}

/**
 * Reads the answer to `show map FILE`: `0x55cf route target` a line, none for an empty map. Throws a Fault
 * `haproxy-runtime` for any other answer.
 */
export function parseMap(answer: string): Map<string, string> {
  const routes = new Map<string, string>();
  for (const line of answer.split('\n')) {
    const text = line.trim();
    if (text === '') continue;
    const [address, key, value] = text.split(' ');
    if (address === undefined || !/^0x[0-9a-f]+$/.test(address)) throw unexpectedAnswer('show map', answer);
    if (key !== undefined && value !== undefined) routes.set(key, value);
  }
  return routes;
}

/** Reads the answer to `show backend`: a heading, then a name a line. Throws a Fault `haproxy-runtime` for any other. */
export function parseBackends(answer: string): Set<string> {
  if (!answer.trimStart().startsWith('# name')) throw unexpectedAnswer('show backend', answer);
  return new Set(answer.split('\n').filter((line) => line !== '' && !line.startsWith('#')));
}

/** Where HAProxy runs something else than we believed. */
export type Drift = {
  /** The actual state in the form of a rendering, from which plan goes on. */
  readonly served: Rendered;
  readonly differences: readonly string[];
};

/**
 * Corrects what we believe HAProxy serves by what it says. Keywords cannot be read back; where address, weight and state
 * agree a line is taken as the one we gave.
 */
export function reconcile(believed: Rendered, running: RunningState, pending: PendingServers): Drift {
  const differences: string[] = [];
  let backends = believed.backends;
  for (const [name, backend] of believed.backends) {
    if (!running.backends.has(name)) {
      differences.push(`backend ${name} is missing`);
      backends = backends.delete(name);
      continue;
    }
    const corrected = reconcileBackend(backend, running.servers.get(name) ?? new Map(), pending, differences);
    if (corrected !== backend) backends = backends.set(name, corrected);
  }
  const routes = reconcileRoutes(believed.routes, running.routes, differences);
  return { served: { ...believed, backends, routes }, differences };
}

function reconcileBackend(
  backend: RenderedBackend,
  running: ReadonlyMap<string, RunningServer>,
  pending: PendingServers,
  differences: string[],
): RenderedBackend {
  const servers = backend.servers.withMutations((lines) => {
    for (const [id, line] of backend.servers) {
      const actual = running.get(id);
      const expected = parseServerLine(line);
      if (actual === undefined) {
        differences.push(`${backend.name}/${id} is missing`);
        lines.delete(id);
      } else if (expected !== undefined && !agrees(expected, actual)) {
        differences.push(`${backend.name}/${id} is ${describeServer(actual)} instead of ${describeServer(expected)}`);
        // A server that drains is neither in maintenance nor ready: whichever is wanted has to be said again.
        const disabled = actual.drained ? !expected.disabled : actual.disabled;
        lines.set(id, formatServerLine({ ...expected, ...actual, disabled }));
      }
    }
    for (const [name, actual] of running) {
      const id = name as InstanceId;
      if (backend.servers.has(id) || pending.has(`${backend.name}/${name}`)) continue;
      differences.push(`${backend.name}/${name} should not be there`);
      lines.set(id, formatServerLine({ ...actual, name, check: false, keywords: '' }));
    }
  });
  return servers === backend.servers ? backend : { ...backend, servers };
}

function agrees(expected: ServerLine, actual: RunningServer): boolean {
  const sameHost = expected.host === actual.host || isIP(expected.host) === 0 || sameIPv6(expected.host, actual.host);
  return (
    sameHost &&
    expected.port === actual.port &&
    expected.weight === actual.weight &&
    expected.disabled === actual.disabled &&
    // An agent may have its server drain, which is not for us to undo.
    (!actual.drained || expected.disabled || /\bagent-check\b/.test(expected.keywords))
  );
}

/** HAProxy writes `::1` for `0:0:0:0:0:0:0:1`. */
export function sameIPv6(a: string, b: string): boolean {
  if (!a.includes(':') || !b.includes(':')) return false;
  return new URL(`http://[${a}]/`).hostname === new URL(`http://[${b}]/`).hostname;
}

type Described = Omit<RunningServer, 'up' | 'drained'> & { readonly drained?: boolean };

function describeServer({ host, port, weight, disabled, drained = false }: Described): string {
  return `${host}:${port} weight ${weight}${disabled ? ' disabled' : ''}${drained ? ' draining' : ''}`;
}

function reconcileRoutes(believed: Routes, running: ReadonlyMap<string, string>, differences: string[]): Routes {
  return believed.withMutations((routes) => {
    for (const [route, target] of believed) {
      const actual = running.get(route);
      if (actual === target) continue;
      differences.push(`route ${route} leads to ${actual ?? 'nothing'} instead of ${target}`);
      const parsed = actual === undefined ? undefined : parseRouteTarget(actual);
      if (parsed?.ok) routes.set(route, parsed.value);
      else routes.delete(route);
    }
    for (const [route, target] of running) {
      if (believed.has(route)) continue;
      differences.push(`route ${route} should not be there`);
      routes.set(route, target as RouteTarget);
    }
  });
}
