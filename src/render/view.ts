import type { Service } from '../catalog/catalog.ts';
import { formatAddress } from '../model/address.ts';
import type { Instance } from '../model/instance.ts';
import { type Route, segmentsOf } from '../model/policy/routes.ts';
import type { Policy } from '../model/policy.ts';
import type { Ports } from './ports.ts';

/** What this balancer's settings give to every template. Paths are absolute. */
export type FrameSettings = {
  /** `host:port` on which HTTP is served. */
  readonly bind: string;
  /** The host that `tcp` services' own ports are bound to. */
  readonly bindHost: string;
  /** Ports of that host which are not for services: HTTP's own, and pointsman's. */
  readonly reservedPorts: ReadonlySet<number>;
  readonly runtimeSocket: string;
  readonly routesMap: string;
  readonly hardStopAfterMs: number;
};

/** What `haproxy.cfg.mustache` sees. */
export type FrameView = {
  readonly bind: string;
  readonly runtimeSocket: string;
  readonly routesMap: string;
  /** As HAProxy writes a time: `30000ms`. */
  readonly hardStopAfter: string;
  /** One for each `tcp` service that has its port. */
  readonly listeners: readonly { readonly name: string; readonly bind: string }[];
};

/** What `policy.mustache` sees, beside the name `policy` that it has to give to its section. */
export type PolicyView = {
  readonly http: boolean;
  readonly tcp: boolean;
  readonly balance: string;
  /** Set for an HTTP health check only. */
  readonly httpCheck: { readonly path: string } | undefined;
  /** Each number of segments that one of its routes takes off the path, and the number of the field behind them. */
  readonly strips: readonly { readonly segments: number; readonly after: number }[];
};

/** What `backend.mustache` sees. Where `{{{servers}}}` stands, the server lines go. */
export type BackendView = PolicyView & {
  readonly name: string;
  /** The section that `policy.mustache` made for its policy. */
  readonly policy: string;
};

/** What `server.mustache` sees. */
export type ServerView = {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  /** 0 while the instance drains, so that it takes no new requests. */
  readonly weight: number;
  readonly maintenance: boolean;
  readonly hostName: boolean;
  readonly check: { readonly interval: string; readonly rise: number; readonly fall: number } | undefined;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
};

const policyNames = ['http', 'tcp', 'balance', 'httpCheck', 'path', 'strips', 'segments', 'after'] as const;

/** The names a template may use; anything else in one is a mistake that Mustache would render as nothing. */
export const knownNames = {
  frame: ['bind', 'runtimeSocket', 'routesMap', 'hardStopAfter', 'listeners', 'name', 'backends'],
  policy: ['policy', ...policyNames],
  backend: ['name', 'policy', ...policyNames, 'servers'],
  server: [
    ...['service', 'id', 'address', 'weight', 'maintenance', 'hostName', 'check', 'interval', 'rise', 'fall'],
    ...['version', 'zone', 'meta'],
  ],
} as const satisfies Record<string, readonly string[]>;

export function frameView(settings: FrameSettings, ports: Ports): FrameView {
  const listeners = [...ports]
    .map(([port, name]) => ({ name, bind: `${settings.bindHost}:${port}` }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    bind: settings.bind,
    runtimeSocket: settings.runtimeSocket,
    routesMap: settings.routesMap,
    hardStopAfter: `${settings.hardStopAfterMs}ms`,
    listeners,
  };
}

export function policyView(policy: Policy): PolicyView {
  return {
    http: policy.mode === 'http',
    tcp: policy.mode === 'tcp',
    balance: policy.balance,
    httpCheck: policy.check.kind === 'http' ? { path: policy.check.path } : undefined,
    strips: strippedSegments(policy.routes).map((segments) => ({ segments, after: segments + 2 })),
  };
}

function strippedSegments(routes: readonly Route[]): readonly number[] {
  const counts = new Set(routes.filter(({ strip }) => strip).flatMap(({ paths }) => paths.map(segmentsOf)));
  counts.delete(0);
  return [...counts].sort((a, b) => a - b);
}

export function backendView(service: Service, policy: string): BackendView {
  return { name: service.name, policy, ...policyView(service.policy) };
}

export function serverView(instance: Instance, policy: Policy): ServerView {
  const { check } = policy;
  return {
    service: instance.service,
    id: instance.id,
    address: formatAddress(instance.address),
    weight: instance.state === 'draining' ? 0 : instance.weight,
    maintenance: instance.state === 'maintenance',
    hostName: instance.address.family === 'name',
    check:
      check.kind === 'none' ? undefined : { interval: `${check.intervalMs}ms`, rise: check.rise, fall: check.fall },
    version: instance.version,
    zone: instance.zone,
    meta: instance.meta,
  };
}
