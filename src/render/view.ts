import type { Service } from '../catalog/catalog.ts';
import { formatAddress } from '../model/address.ts';
import type { Instance } from '../model/instance.ts';
import type { Policy } from '../model/policy.ts';
import { type PolicyView, policyNames, policyView } from './policy-view.ts';
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
  readonly listeners: readonly {
    readonly name: string;
    readonly bind: string;
    readonly clientTimeout: string | undefined;
  }[];
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

/** The names a template may use; anything else in one is a mistake that Mustache would render as nothing. */
export const knownNames = {
  frame: ['bind', 'runtimeSocket', 'routesMap', 'hardStopAfter', 'listeners', 'name', 'clientTimeout', 'backends'],
  policy: ['policy', ...policyNames],
  backend: ['policy', ...policyNames, 'servers'],
  server: [
    ...['service', 'id', 'address', 'weight', 'maintenance', 'hostName', 'check', 'interval', 'rise', 'fall'],
    ...['version', 'zone', 'meta'],
  ],
} as const satisfies Record<string, readonly string[]>;

export function frameView(settings: FrameSettings, ports: Ports): FrameView {
  const listeners = [...ports]
    .map(([port, { name, policy }]) => ({
      name,
      bind: `${settings.bindHost}:${port}`,
      clientTimeout: policy.timeouts.clientMs === undefined ? undefined : `${policy.timeouts.clientMs}ms`,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    bind: settings.bind,
    runtimeSocket: settings.runtimeSocket,
    routesMap: settings.routesMap,
    hardStopAfter: `${settings.hardStopAfterMs}ms`,
    listeners,
  };
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
