import type { Catalog } from '../catalog/catalog.ts';
import { withSplit } from '../catalog/split.ts';
import { choosePolicies, describeDisagreements } from '../container-policies/choose-policies.ts';
import { policyKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import type { Policy } from '../model/policy.ts';
import type { Revision } from '../model/revision.ts';
import { nameOnPort } from '../model/route.ts';
import { arrivingCertificates } from '../operate/arriving-certificates.ts';
import { certificateTroubles } from '../operate/describe-certificate.ts';
import { type OutOfService, outOfService } from '../operate/out-of-service.ts';
import { catalogOf } from '../operate/read-services.ts';
import type { Registry } from '../registry/registry.ts';
import { rootOf } from '../settings/registry.ts';
import type { SeeSettings } from '../settings/see.ts';
import { type BalancerState, look } from './balancer-state.ts';
import { findBalancers } from './balancers.ts';
import { readCertificates } from './certificates-read.ts';
import { readIfThere } from './read-service.ts';
import { whileWaiting } from './spinner.ts';
import { type DownInstance, readDown } from './status-down.ts';
import { type InstanceStatus, readInstances } from './status-instances.ts';
import { troubleOf } from './status-trouble.ts';
import { type UnaskedBalancer, unaskedOf } from './unasked.ts';

/** Everything that `status` shows. */
export type Status = {
  readonly location: string;
  /** Undefined while the registry cannot be read; what follows is then what a balancer serves. */
  readonly revision: Revision | undefined;
  readonly balancers: readonly BalancerState[];
  readonly services: readonly {
    readonly name: string;
    readonly declared: boolean;
    readonly instances: number;
    readonly ready: number;
    readonly overrides: number;
    readonly hosts: readonly string[];
    /** Why the newest policy is not served, although the registry has it. */
    readonly policyRejected: string | undefined;
  }[];
  /** Of the one service that was asked for. */
  readonly instances: readonly InstanceStatus[] | undefined;
  /** Instances that HAProxy finds down, of the first services that have some. */
  readonly down: readonly DownInstance[];
  /** The services that answer no new requests because of overrides or registrations. */
  readonly outOfService: readonly OutOfService[];
  /** The balancers whose servers are unknown here. */
  readonly notAsked: readonly UnaskedBalancer[];
  /** The problems, a line each. */
  readonly trouble: readonly string[];
};

/** Rejects with a Fault when neither the registry nor a balancer of this machine can be asked. */
export async function readStatus(
  registry: Registry,
  { admin, registry: settings }: SeeSettings,
  only: ServiceName | undefined,
): Promise<Status> {
  const { revision, cluster, entries, fault } = await readIfThere(registry, '');
  const wall = Date.now();
  const catalog = catalogOf(entries, wall);
  const {
    balancers: known,
    stranger,
    unanswered,
  } = await findBalancers(
    entries.filter(({ key }) => key.startsWith('balancers/')),
    admin,
    { cluster, root: rootOf(settings) },
  );
  if (fault !== undefined && known.length === 0) throw fault;
  const balancers = await whileWaiting('asking each balancer what it serves', () => Promise.all(known.map(look)));
  const away =
    fault && `the registry cannot be read within 3s: ${fault.message}; the services are as ${known[0]?.id} serves them`;
  const certificates = await readCertificates(entries, known, wall);
  const trouble = troubleOf({
    balancers,
    catalog,
    arriving: arrivingCertificates(entries, wall),
    beside: [
      stranger,
      ...unanswered,
      away,
      ...describeDisagreements(choosePolicies(entries)),
      ...certificateTroubles(certificates.list, wall).map(({ says }) => says),
    ].filter((line) => line !== undefined),
  });
  return {
    location: registry.location,
    revision,
    balancers,
    down: (await whileWaiting('asking each balancer what is down', () => readDown(balancers))).filter(
      ({ service }) => only === undefined || service === only,
    ),
    outOfService: outOfService(catalog, wall).filter(({ service }) => only === undefined || service === only),
    notAsked: unaskedOf(balancers),
    instances: only === undefined ? undefined : await readInstances(only, catalog, known),
    services: (fault === undefined ? asServed(registered(catalog), balancers) : served(balancers))
      .filter(({ name }) => only === undefined || name === only)
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    trouble,
  };
}

const registered = (catalog: Catalog): Status['services'][number][] =>
  [...catalog.services.values()].map(withSplit).map(({ name, declared, instances, policy }) => ({
    name,
    declared,
    instances: instances.size,
    ready: instances.count(({ state, weight }) => state === 'ready' && weight > 0),
    overrides: catalog.overrides.get(name)?.size ?? 0,
    hosts: declaredPlaces(policy),
    policyRejected: catalog.rejected.get(policyKey(name))?.reason,
  }));

const served = ([balancer]: readonly BalancerState[]): Status['services'][number][] =>
  (balancer?.serves ?? []).map(({ name, declared, instances, ready, routes, port }) => ({
    name,
    declared,
    instances,
    ready,
    overrides: 0,
    hosts: placesOf(routes, port),
    policyRejected: undefined,
  }));

const declaredPlaces = ({ mode, port, sni, routes }: Policy): readonly string[] => {
  if (mode === 'http') return routes.flatMap(({ hosts }) => hosts);
  return sni === undefined || port === undefined
    ? [`tcp port ${port}`]
    : sni.names.map((name) => nameOnPort(name, port));
};

/** A `tcp` service has routes only if it shares its port. */
const placesOf = (routes: readonly string[], port: number | undefined): readonly string[] => {
  if (routes.length > 0) return routes;
  return port === undefined ? ['not served'] : [`tcp port ${port}`];
};

/** With what balancers serve otherwise than the registry asks: a policy that is rejected or in quarantine, and services that are held. */
function asServed(
  services: readonly Status['services'][number][],
  balancers: readonly BalancerState[],
): Status['services'][number][] {
  const known = new Set(services.map(({ name }) => name));
  const held = balancers.flatMap((balancer) => served([balancer])).filter(({ name }) => !known.has(name));
  const others = new Map(held.map((service) => [service.name, service]));
  return [
    ...services.map((service) => {
      const rejected = service.policyRejected !== undefined;
      const holder = balancers.find(
        ({ health: state, serves }) =>
          state?.quarantined.some(({ key }) => key === policyKey(service.name)) ||
          (rejected && serves.some(({ name }) => name === service.name)),
      );
      const now = holder?.serves.find(({ name }) => name === service.name);
      // A balancer may serve the last good policy, which the registry does not have any more.
      if (now === undefined) return rejected ? { ...service, hosts: ['not known'] } : service;
      const declared = rejected ? now.declared : service.declared;
      return { ...service, declared, hosts: placesOf(now.routes, now.port) };
    }),
    ...others.values(),
  ];
}
