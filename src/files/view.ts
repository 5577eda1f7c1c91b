import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import { formatAddress } from '../model/address.ts';
import type { Instance } from '../model/instance.ts';
import { policyKey } from '../model/key.ts';
import { listOf, open, record, type TemplateNames, text } from '../template/names.ts';
import { bare, bareJson } from './bare.ts';
import { between, type Ends, type KeyNode, keyNames, withEnds } from './key-tree.ts';

/** The view of the template of a file. docs/files.md describes it. New fields may come; no field changes its meaning. */
export type FileView = {
  /** Sorted by name. */
  readonly services: readonly FileServiceView[];
  /** The same by name. */
  readonly service: Readonly<Record<string, FileServiceView>>;
  readonly keys: KeyNode;
  /** The same keys by their whole names, for templates of confd: `/services/web/1`. */
  readonly values: ReadonlyMap<string, string>;
  /** The variables that pointsman was started with, without its own. */
  readonly env: Readonly<Record<string, string>>;
};

type FileServiceView = {
  readonly name: string;
  readonly mode: 'http' | 'tcp';
  readonly http: boolean;
  readonly tcp: boolean;
  /** A `tcp` service's own port. */
  readonly port: number | undefined;
  /** Where it is served. */
  readonly routes: readonly RouteView[];
  readonly balance: string;
  /** The policy as it was declared, field by field; undefined when there is none. */
  readonly policy: unknown;
  /** Sorted by id. */
  readonly instances: readonly FileInstanceView[];
  /** It has no instance at all. */
  readonly empty: boolean;
} & Ends;

type RouteView = {
  /** `<service>` and `<service>.*` unless its policy names others. */
  readonly hosts: readonly ({ readonly value: string } & Ends)[];
  readonly paths: readonly ({ readonly value: string } & Ends)[];
  /** The path is taken off before a request is passed on. */
  readonly strip: boolean;
  readonly priority: number;
} & Ends;

type FileInstanceView = {
  readonly service: string;
  readonly id: string;
  /** `host:port`, with brackets around an IPv6 host. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly state: string;
  /** It takes new requests: it is ready, and its weight is not 0. */
  readonly up: boolean;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly maintenance: boolean;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
} & Ends;

const ends = { first: text, last: text };
const names = (...of: readonly string[]): Readonly<Record<string, TemplateNames>> =>
  Object.fromEntries(of.map((name) => [name, text]));

const instanceNames = record({
  ...names('service', 'id', 'address', 'host', 'port', 'weight', 'state', 'up', 'ready', 'draining', 'maintenance'),
  ...names('version', 'zone'),
  meta: open(),
  ...ends,
});

const routeNames = record({
  hosts: listOf(record({ value: text, ...ends })),
  paths: listOf(record({ value: text, ...ends })),
  ...names('strip', 'priority'),
  ...ends,
});

const serviceNames = record({
  ...names('name', 'mode', 'http', 'tcp', 'port', 'balance', 'empty'),
  routes: listOf(routeNames),
  policy: open(),
  instances: listOf(instanceNames),
  ...ends,
});

/** The names that a template of a file may use. */
export const fileNames = record({
  services: listOf(serviceNames),
  service: { find: () => serviceNames, known: [], notText: 'all services by name' },
  keys: keyNames,
  env: open({ required: true }),
});

/** Makes the view of a catalog. Keeps what it made of each service and instance: a change costs what it touched. */
export function servicesViewer(): (catalog: Catalog) => Pick<FileView, 'services' | 'service'> {
  const kept = new WeakMap<Service, { readonly declared: string | undefined; readonly view: FileServiceView }>();
  const instances = new WeakMap<Instance, FileInstanceView>();
  const viewOf = (instance: Instance): FileInstanceView => {
    const known = instances.get(instance);
    if (known !== undefined) return known;
    const view = instanceView(instance);
    instances.set(instance, view);
    return view;
  };
  return ({ services, accepted }) => {
    const views = [...services.values()].map((service) => {
      const declared = service.declared ? accepted.get(policyKey(service.name))?.value : undefined;
      const known = kept.get(service);
      if (known !== undefined && known.declared === declared) return known.view;
      const view = serviceView(service, declared, viewOf);
      kept.set(service, { declared, view });
      return view;
    });
    const sorted = withEnds(views.sort((a, b) => (a.name < b.name ? -1 : 1)));
    return { services: sorted, service: bare(sorted.map((view) => [view.name, view])) };
  };
}

function serviceView(
  service: Service,
  declared: string | undefined,
  viewOf: (instance: Instance) => FileInstanceView,
): FileServiceView {
  const { name, policy } = service;
  const { mode, port, balance } = policy;
  const host = name.toLowerCase();
  const instances = [...service.instances.values()].map(viewOf).sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    ...{ name, mode, http: mode === 'http', tcp: mode === 'tcp', port, balance: balance.kind },
    routes: withEnds(
      policy.routes.map(({ hosts, paths, strip, priority }) => ({
        hosts: withValue(hosts.length > 0 ? hosts : [host, `${host}.*`]),
        paths: withValue(paths),
        ...{ strip, priority, ...between },
      })),
    ),
    policy: declared === undefined ? undefined : bareJson(declared),
    instances: withEnds(instances),
    empty: instances.length === 0,
    ...between,
  };
}

function instanceView(instance: Instance): FileInstanceView {
  const { service, id, weight, state, version, zone, meta } = instance;
  // Files get the address as it is registered.
  const address = {
    ...instance.address,
    ...(instance.hostName && { host: instance.hostName, family: 'name' as const }),
  };
  return {
    ...{ service, id, address: formatAddress(address), host: address.host, port: address.port, weight, state },
    up: state === 'ready' && weight > 0,
    ready: state === 'ready',
    draining: state === 'draining',
    maintenance: state === 'maintenance',
    ...{ version, zone, meta: bare(Object.entries(meta)), ...between },
  };
}

const withValue = (values: readonly string[]) => withEnds(values.map((value) => ({ value, ...between })));
