import type { Container, PublishedPort } from '../../engine/container.ts';
import { type Address, formatAddress, parseAddress, parsePort } from '../../model/address.ts';
import type { AddressSource } from '../../model/address-source.ts';
import { Fault } from '../../model/fault.ts';
import { isNamedById, type OwnContainer } from './own-container.ts';

export type AddressLabels = {
  /** `pointsman.port`, as it is written. */
  readonly port: string | undefined;
  /** `pointsman.network`. */
  readonly network: string | undefined;
  /** What its labels begin with: `pointsman`, `pointsman.admin`. */
  readonly prefix: string;
};

/** The host of the containers, for ports that balancers reach there. */
export type ThisHost = {
  /** `--containers-host`; undefined: as `--net` finds it. */
  readonly publishedAt: string | undefined;
  readonly hostname: string;
  readonly ownContainer: OwnContainer | undefined;
};

/**
 * Where balancers reach a port of a container: at its own address in the network that is named, else at the port that is published on
 * this host.
 */
export function containerAddress(
  container: Container,
  { port: given, network, prefix }: AddressLabels,
  host: ThisHost,
): AddressSource | Fault {
  const place = `container ${container.name}: label ${prefix}`;
  const port = portOf(container, given, prefix);
  if (port instanceof Fault) return port;
  if (container.networkMode === 'host') return onThisHost(container, port, host);
  if (network !== undefined) return inNetwork(container, network, port, `${place}.network`);
  const binding = bestOf(container.published.filter((one) => one.port === port));
  if (binding === undefined) {
    const hint = `publish it, or set ${prefix}.network to a network of the container that balancers reach`;
    return new Fault('settings', `its port ${port} is not published on this host`, { where: `${place}.port`, hint });
  }
  return isAllAddresses(binding.hostIp)
    ? onThisHost(container, binding.hostPort, host)
    : atAddress(binding.hostIp, binding.hostPort, `${place}.port`);
}

function portOf({ name, exposed }: Container, given: string | undefined, prefix: string): number | Fault {
  const where = `container ${name}: label ${prefix}.port`;
  if (given !== undefined) {
    const port = parsePort(given);
    return port.ok ? port.value : new Fault('settings', port.reason, { where });
  }
  const [only, ...others] = exposed;
  if (only !== undefined && others.length === 0) return only;
  const what =
    only === undefined
      ? 'it is missing, and the container exposes no port'
      : `it is missing, and the container exposes ${exposed.join(', ')}`;
  return new Fault('settings', what, { where, hint: 'set it to the port that the application listens on' });
}

function inNetwork(
  { networks, labels }: Container,
  wanted: string,
  port: number,
  where: string,
): AddressSource | Fault {
  // Compose and Swarm write `backend` for the network that the engine knows as `shop_backend`.
  const project = labels['com.docker.compose.project'] ?? labels['com.docker.stack.namespace'];
  const network =
    networks.find(({ name }) => name === wanted) ?? networks.find(({ name }) => name === `${project}_${wanted}`);
  if (network === undefined) {
    const there = networks.length === 0 ? 'in none' : `in ${networks.map(({ name }) => name).join(', ')}`;
    return new Fault('settings', `the container is not in the network ${wanted}; it is ${there}`, { where });
  }
  const host = network.ipv4 ?? network.ipv6;
  return host === undefined
    ? new Fault('settings', `the container has no address in the network ${network.name}`, { where })
    : atAddress(host, port, where);
}

/** A port of this host, where `container` is reached. */
export function onThisHost(
  { name }: Container,
  port: number,
  { publishedAt, hostname, ownContainer: own }: ThisHost,
): AddressSource | Fault {
  if (publishedAt !== undefined) return atAddress(publishedAt, port, '--containers-host');
  if (own === undefined) return { kind: 'found', port, published: true };
  const what = `the agent cannot announce port ${port} of this machine: it runs in the container ${own.name}, and does not see the addresses of the machine`;
  const named = isNamedById(own, hostname) ? ', and hostname: for its container, because ids begin with it' : '';
  const hint = `give the agent --containers-host, the address of this machine that balancers reach${named}`;
  return new Fault('settings', what, { where: `container ${name}`, hint });
}

function atAddress(host: string, port: number, where: string): AddressSource | Fault {
  const address = parseAddress(hostAndPort(host, port));
  return address.ok ? { kind: 'given', address: address.value } : new Fault('settings', address.reason, { where });
}

const hostAndPort = (host: string, port: number): string =>
  formatAddress({ host, port, family: host.includes(':') ? 'ipv6' : 'name' } satisfies Address);

/** A port may be published several times: for IPv4 and IPv6, or at several addresses. */
const bestOf = (bindings: readonly PublishedPort[]): PublishedPort | undefined =>
  bindings.find(({ hostIp }) => !isAllAddresses(hostIp) && !isLoopback(hostIp)) ??
  bindings.find(({ hostIp }) => hostIp === '0.0.0.0') ??
  bindings[0];

const isAllAddresses = (host: string): boolean => host === '0.0.0.0' || host === '::';
const isLoopback = (host: string): boolean => host.startsWith('127.') || host === '::1';
