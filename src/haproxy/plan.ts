import type { DirtySet } from '../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { listenersThatDiffer } from '../render/place.ts';
import { isThin, modeOf, policyOf } from '../render/policies.ts';
import { dividesOtherwise } from '../render/render.ts';
import type { Rendered, RenderedBackend } from '../render/rendered.ts';
import { sameSection } from '../render/template.ts';
import { type FirstCheckRule, firstCheckOf, noFirstChecks } from './newcomers.ts';
import { planRoutes } from './plan-routes.ts';
import type { ReloadReason } from './reload-reason.ts';
import { parseServerLine } from './server-line.ts';
import { bringsIn, type Step } from './step.ts';

/** The steps from the actual to the desired state of HAProxy. A value: printed, tested, applied. */
export type Plan = {
  readonly steps: readonly Step[];
  /** Empty: the steps are enough. Other changes wait for the reload. */
  readonly reload: readonly ReloadReason[];
};

/** The abilities of the running HAProxy that not every version from 2.6 on has. */
export type Abilities = {
  /** `add backend` (3.4). */
  readonly addBackend: boolean;
  /** To delete servers and backends without a fault of its own: see known-faults.ts. */
  readonly deletes: boolean;
  /** Whether open connections take requests to the former address of their server; false by default. */
  readonly keepsFormerAddress?: boolean;
};

export type PlanConditions = Abilities & {
  /** Whether the worker was loaded from the configuration that `served` describes; true by default. */
  readonly certain?: boolean;
  /** Whether a reload is impossible for now; false by default. */
  readonly obstructed?: boolean;
  /** The servers that have to pass a check first; none by default. */
  readonly firstChecks?: FirstCheckRule;
  /** Whether a connection to this server serves more than one request; true by default. */
  readonly reuses?: (server: string) => boolean;
  /** The largest number of changes of the route map that are made by command where a reload can make them. */
  readonly mostRouteCommands?: number;
  /** Whether the reload that a service needs has to wait for its turn; no service has to by default. */
  readonly paced?: (service: ServiceName) => boolean;
  /** Why a service gets no more servers before a reload; undefined where it does. */
  readonly full?: (service: ServiceName) => ReloadReason | undefined;
};

/** Servers that left but still close connections, by `backend/server`, with the line they had. */
export type PendingServers = ReadonlyMap<string, string>;

/**
 * The difference of two rendered states, for the services in the dirty set. A backend that is not desired any more loses
 * its routes and servers at once; the empty section itself goes later, so that a service that comes and goes costs
 * nothing.
 */
export function planChanges(
  served: Rendered,
  desired: Rendered,
  dirty: DirtySet,
  pending: PendingServers,
  {
    addBackend,
    deletes,
    certain = true,
    obstructed = false,
    firstChecks = noFirstChecks,
    keepsFormerAddress = false,
    reuses = () => true,
    mostRouteCommands,
    paced,
    full = () => undefined,
  }: PlanConditions,
): Plan {
  const joining: Step[] = [];
  const made = new Set<ServiceName>();
  const leaving: Step[] = [];
  const reload: ReloadReason[] = [];
  if (!sameSection(served.base, desired.base))
    reload.push({ kind: 'frame', services: listenersThatDiffer(served.base, desired.base) });
  for (const [name, mark] of dirty) {
    const before = served.backends.get(name);
    const after = desired.backends.get(name);
    if (before === undefined) {
      const steps = after === undefined ? undefined : planBackend(served, after, addBackend);
      if (steps !== undefined) {
        joining.push(...steps);
        made.add(name);
      } else if (after !== undefined) reload.push({ kind: 'new-backend', backend: name });
      continue;
    }
    if (after !== undefined && !sameSection(before.section, after.section))
      reload.push({ kind: 'backend', backend: name });
    const joined = joining.length;
    const mustBeChecked = firstCheckOf(before, after, firstChecks);
    const whole = mark.whole || (after !== undefined && dividesOtherwise(before, after));
    const ids = whole ? new Set([...before.servers.keys(), ...(after?.servers.keys() ?? [])]) : mark.instances;
    for (const id of ids) {
      const was = before.servers.get(id);
      const becomes = after?.servers.get(id);
      if (was !== undefined && becomes === undefined) {
        leaving.push({ kind: deletes ? 'remove-server' : 'retire-server', backend: name, name: id });
        continue;
      }
      const change = planServer(name, id, was, becomes, pending);
      const isFull = change.steps.some(({ kind }) => kind === 'add-server') ? full(name) : undefined;
      if (isFull !== undefined) {
        reload.push(isFull);
        continue;
      }
      const checkFirst = mustBeChecked(id);
      joining.push(...change.steps.map((step) => (checkFirst && bringsIn(step) ? { ...step, checkFirst } : step)));
      if (change.reload) reload.push(change.reload);
      if (change.moves && keepsFormerAddress && reuses(`${name}/${id}`) && isHttp(served, before))
        reload.push({ kind: 'former-address', backend: name, server: id });
    }
    const added = joining.slice(joined).some(({ kind }) => kind === 'add-server');
    if (added && setsCookies(served, before)) joining.push({ kind: 'renew-cookies', backend: name });
  }
  const routes = planRoutes(served, desired, { made, certain, obstructed, mostCommands: mostRouteCommands, paced });
  if (routes.crowding.length > 0) reload.push({ kind: 'many-routes', services: routes.crowding });
  return { steps: [...joining, ...routes.steps, ...leaving], reload };
}

/** Whether one connection of a client may have many requests. */
function isHttp(served: Rendered, { section }: RenderedBackend): boolean {
  const policy = policyOf(section);
  // An own template may write a backend without a policy.
  return policy === undefined || modeOf(served, policy) === 'http';
}

/** How a service of a known policy comes into being without a reload; undefined when that takes one. */
function planBackend(served: Rendered, after: RenderedBackend, addBackend: boolean): readonly Step[] | undefined {
  const policy = policyOf(after.section);
  if (!addBackend || policy === undefined || !served.policies.has(policy) || !isThin(after.section)) return;
  const backend = after.name;
  const steps: Step[] = [{ kind: 'add-backend', backend, policy, mode: modeOf(served, policy) }];
  for (const line of after.servers.values()) {
    const server = parseServerLine(line);
    if (server === undefined) return;
    steps.push({ kind: 'add-server', backend, server });
  }
  if (setsCookies(served, after)) steps.push({ kind: 'renew-cookies', backend });
  return [...steps, { kind: 'publish-backend', backend }];
}

/** Whether a backend makes its servers' cookies of their addresses. */
function setsCookies({ policies }: Rendered, { section }: RenderedBackend): boolean {
  const inherited = policies.get(policyOf(section) ?? '') ?? '';
  return /^\s*dynamic-cookie-key\s/m.test(inherited + section.before + section.after);
}

type ServerChange = {
  readonly steps: readonly Step[];
  readonly reload?: ReloadReason;
  /** Whether a server that HAProxy has, in maintenance or not, gets another address. */
  readonly moves?: boolean;
};

function planServer(
  backend: ServiceName,
  id: InstanceId,
  before: string | undefined,
  after: string | undefined,
  pending: PendingServers,
): ServerChange {
  if (before === after || after === undefined) return { steps: [] };
  const server = parseServerLine(after);
  if (server === undefined) return { steps: [], reload: { kind: 'server-line', backend, server: id } };
  const pendingLine = pending.get(`${backend}/${id}`);
  const lineThere = before ?? pendingLine;
  if (lineThere === undefined) return { steps: [{ kind: 'add-server', backend, server }] };
  const there = parseServerLine(lineThere);
  if (there?.keywords !== server.keywords)
    return { steps: [], reload: { kind: 'server-keywords', backend, server: id } };
  const moves = there.host !== server.host || there.port !== server.port;
  if (before === undefined) return { steps: [{ kind: 'revive-server', backend, server }], moves };
  const steps: Step[] = [];
  if (moves) steps.push({ kind: 'set-address', backend, server });
  if (there.weight !== server.weight) steps.push({ kind: 'set-weight', backend, server });
  if (there.disabled !== server.disabled) steps.push({ kind: 'set-state', backend, server });
  return { steps, moves };
}

/** `served` once the step is done. */
export function afterStep(served: Rendered, desired: Rendered, step: Step): Rendered {
  switch (step.kind) {
    case 'add-route':
    case 'set-route':
      return { ...served, routes: served.routes.set(step.route, step.target) };
    case 'remove-route':
      return { ...served, routes: served.routes.delete(step.route) };
    case 'add-backend': {
      const name = step.backend as ServiceName;
      const added = desired.backends.get(name);
      if (added === undefined) return served;
      return { ...served, backends: served.backends.set(name, { ...added, servers: added.servers.clear() }) };
    }
    case 'publish-backend':
    case 'renew-cookies':
      return served;
    default: {
      const name = step.backend as ServiceName;
      const id = ('server' in step ? step.server.name : step.name) as InstanceId;
      const backend = served.backends.get(name);
      if (backend === undefined) return served;
      const line = 'server' in step ? desired.backends.get(name)?.servers.get(id) : undefined;
      const servers = line === undefined ? backend.servers.delete(id) : backend.servers.set(id, line);
      return { ...served, backends: served.backends.set(name, { ...backend, servers }) };
    }
  }
}
