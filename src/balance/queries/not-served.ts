import type { Service } from '../../catalog/service.ts';
import type { OpenRequests } from '../../fleet/acknowledgement.ts';
import { instanceName } from '../../fleet/acknowledgement.ts';
import type { ServerTraffic } from '../../haproxy/stat.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';

/** An instance that gets no new requests, with the reason. */
export type Unserved = {
  readonly service: string;
  /** Undefined: the entry is about the whole service. */
  readonly instance: string | undefined;
  readonly why: string;
  /** For how long, where HAProxy says so. */
  readonly sinceS: number | undefined;
  /** Requests that it still answers. */
  readonly open: OpenRequests | undefined;
};

/** The instances that get no new requests: the first of them, and how many there are. */
export type NotServed = {
  /** Instances that should get requests, and whose health check fails or has not passed yet. */
  readonly down: readonly Unserved[];
  readonly downCount: number;
  /** Instances that drain, are in maintenance or have the weight 0. */
  readonly out: readonly Unserved[];
  readonly outCount: number;
  /** Entries of the registry that no HAProxy can serve as they are written. */
  readonly refused: readonly Unserved[];
};

const mostListed = 100;
/** Each of them is a question to HAProxy. */
const mostAsked = 20;

const isReady = ({ state, weight }: { readonly state: string; readonly weight: number }): boolean =>
  state === 'ready' && weight > 0;

/** The services that have instances that are down, those without any other instance first, and how many instances are down. */
export function lookedAt(services: readonly Service[], upOf: (name: ServiceName) => number | undefined) {
  const found: { readonly service: Service; readonly up: number }[] = [];
  let down = 0;
  for (const service of services) {
    const up = upOf(service.name);
    if (up === undefined) continue;
    let ready = 0;
    for (const instance of service.instances.values()) if (isReady(instance)) ready += 1;
    if (up >= ready) continue;
    down += ready - up;
    found.push({ service, up });
  }
  found.sort((a, b) => Number(a.up > 0) - Number(b.up > 0) || (a.service.name < b.service.name ? -1 : 1));
  return { down, ask: found.slice(0, mostAsked).map(({ service }) => service) };
}

/** The instances of a service that should get requests and do not, by what HAProxy says of its servers. */
export function downIn(
  { name, instances }: Service,
  servers: ReadonlyMap<string, ServerTraffic> | undefined,
): readonly Unserved[] {
  if (servers === undefined) return [];
  const down: Unserved[] = [];
  for (const instance of instances.values()) {
    if (down.length === mostListed) break;
    if (!isReady(instance)) continue;
    const server = servers.get(instance.id);
    if (server !== undefined && /^(UP|no check)/.test(server.status)) continue;
    const why =
      server === undefined
        ? 'HAProxy does not have it'
        : [server.status, server.checkDetail || server.check].filter(Boolean).join(': ');
    down.push({ service: name, instance: instance.id, why, sinceS: server?.sinceS, open: server?.open || undefined });
  }
  return down;
}

/** The instances that somebody took out. `overrideOf`: the operator's word about an instance. */
export function takenOutOf(
  services: readonly Service[],
  overrideOf: (service: ServiceName, id: InstanceId) => string | undefined,
  openRequests: ReadonlyMap<string, OpenRequests>,
): Pick<NotServed, 'out' | 'outCount'> {
  const out: Unserved[] = [];
  let outCount = 0;
  for (const { name, instances } of services) {
    for (const instance of instances.values()) {
      if (isReady(instance)) continue;
      outCount += 1;
      if (out.length === mostListed) continue;
      const itself = instance.state === 'ready' ? 'its weight is 0' : `it registered itself as ${instance.state}`;
      const why = overrideOf(name, instance.id) ?? itself;
      out.push({
        service: name,
        instance: instance.id,
        why,
        sinceS: undefined,
        open: openRequests.get(instanceName(name, instance.id)),
      });
    }
  }
  return { out, outCount };
}

/** Refused entries of instances and services, by their keys. */
export function refusedOf(entries: readonly { readonly key: string; readonly reason: string }[]): readonly Unserved[] {
  return entries.slice(0, mostListed).flatMap(({ key, reason }) => {
    const [area, service, instance] = key.split('/');
    if (service === undefined || (area !== 'instances' && area !== 'services')) return [];
    return [
      {
        service,
        instance: area === 'instances' ? instance : undefined,
        why: reason,
        sinceS: undefined,
        open: undefined,
      },
    ];
  });
}
