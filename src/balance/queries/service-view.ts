import type { Service } from '../../catalog/service.ts';
import type { ServerTraffic, Traffic } from '../../haproxy/stat.ts';
import type { Instance } from '../../model/instance.ts';
import type { EjectedStatus } from '../ejection/ejecting.ts';

export type ServiceView = {
  readonly name: string;
  readonly mode: 'http' | 'tcp';
  /** The port on which HAProxy serves a `tcp` service. */
  readonly port: number | undefined;
  /** Whether it has a policy of its own. Otherwise the default policy serves it, or it answers 503 if its policy is rejected. */
  readonly declared: boolean;
  /** The first routes in order, such as `shop.example.com/api/`. */
  readonly routes: readonly string[];
  readonly routeCount: number;
  readonly instances: number;
  /** Instances that are ready and have a weight. */
  readonly ready: number;
  /** Servers that pass their health check; undefined while HAProxy does not answer. */
  readonly up: number | undefined;
  /** Instances that get no requests because they answered with errors. Their health checks may pass. */
  readonly ejected: number;
  /** Instances that are guarded, or whose entry is held. */
  readonly held: number;
  readonly traffic: Traffic | undefined;
};

type InstanceView = {
  readonly id: string;
  readonly address: string;
  readonly weight: number;
  readonly state: Instance['state'];
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly held: boolean;
  /** Such as `drain by ada (new disk)`. */
  readonly override: string | undefined;
  /** Undefined: it is not ejected, nor on trial after an ejection. */
  readonly ejection: Pick<EjectedStatus, 'phase' | 'endsInMs'> | undefined;
  readonly traffic: ServerTraffic | undefined;
};

export type ServiceDetail = ServiceView & {
  readonly instancesById: readonly InstanceView[];
  /** The first conflicts of the service, a clause each: what it does not get, or what others do not get because of it. */
  readonly conflicts: readonly string[];
};

/** A part of the instances. */
export type Window = { readonly from: number; readonly most: number };

const mostRoutes = 8;

/** `held`: how many of the instances the registry does not have any more; `ejected`: how many are ejected. */
export function viewOf(
  { name, policy, declared, instances }: Service,
  { held, ejected }: Pick<ServiceView, 'held' | 'ejected'>,
  routes: readonly string[],
  traffic: (Traffic & { readonly up: number }) | undefined,
): ServiceView {
  let ready = 0;
  for (const { state, weight } of instances.values()) if (state === 'ready' && weight > 0) ready += 1;
  return {
    name,
    mode: policy.mode,
    port: policy.port,
    declared,
    routes: [...routes].sort().slice(0, mostRoutes),
    routeCount: routes.length,
    instances: instances.size,
    ready,
    up: traffic?.up,
    ejected,
    held,
    traffic,
  };
}
