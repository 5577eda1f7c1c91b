import { BlockList, isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { type Address, formatAddress, parseHost, parsePort } from '../model/address.ts';
import { type AddressSource, type Net, parseReachable } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import type { Parsed } from '../model/parsed.ts';

/** The network and the variables of the machine: `os.networkInterfaces()` and `process.env`. */
export type Surroundings = {
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
};

type Candidate = { readonly name: string; readonly host: string; readonly family: 'ipv4' | 'ipv6' };

// No other machine reaches these; an IPv6 link-local address would also need its zone, which differs from machine to machine.
const unreachable = new BlockList();
unreachable.addSubnet('127.0.0.0', 8, 'ipv4');
unreachable.addSubnet('169.254.0.0', 16, 'ipv4');
unreachable.addAddress('::1', 'ipv6');
unreachable.addSubnet('fe80::', 10, 'ipv6');

/** The address to announce, or a Fault that lists what there is to choose from. */
export function findAddress(source: AddressSource, net: Net | undefined, around: Surroundings): Address | Fault {
  switch (source.kind) {
    case 'given':
      return source.address;
    case 'environment':
      return fromEnvironment(source, around.env);
    case 'found': {
      const { published = false } = source;
      const host = findHost(net, published ? withoutBridges(net, around.interfaces) : around.interfaces);
      if (host instanceof Fault && published) {
        const hint = 'give --containers-host, the address of this machine that balancers reach';
        const choose = host.hint?.startsWith('choose with') === true ? `, or ${host.hint}` : '';
        const where = net === undefined ? '--containers-host' : '--net';
        return new Fault('settings', host.message, { where, hint: `${hint}${choose}` });
      }
      return host instanceof Fault ? host : { host: host.host, family: host.family, port: source.port };
    }
  }
}

// Bridges of Docker, podman, CNI and libvirt, and the host's ends of containers: they appear and go with networks of containers.
const bridge = /^(docker0|docker_gwbridge|br-[0-9a-f]{12}|podman.*|cni.*|virbr.*|veth.*)$/;

/** The interfaces that other machines can reach; an interface that `--net` names is always one. */
function withoutBridges(net: Net | undefined, interfaces: Surroundings['interfaces']): Surroundings['interfaces'] {
  const named = net?.kind === 'interface' ? net.name : undefined;
  return Object.fromEntries(Object.entries(interfaces).filter(([name]) => name === named || !bridge.test(name)));
}

function findHost(net: Net | undefined, interfaces: Surroundings['interfaces']): Candidate | Fault {
  const all: readonly Candidate[] = Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses.map(({ address }) => ({ name, host: address, family: isIPv4(address) ? 'ipv4' : 'ipv6' }) as const),
  );
  const fitting = all.filter((candidate) => matches(net, candidate) && (isWanted(net) || !isUnreachable(candidate)));
  // Of a machine with both, the one that needs no thought about routers; --net ::/0 asks for the other.
  const ipv4 = fitting.filter(({ family }) => family === 'ipv4');
  const chosen = ipv4.length > 0 ? ipv4 : fitting;
  const [first, ...others] = chosen;
  if (first !== undefined && others.length === 0) return first;
  if (first !== undefined) {
    return new Fault('settings', `this machine has ${chosen.length} addresses that fit: ${listed(chosen)}`, {
      where: '--address',
      hint: `choose with ${choices(chosen)}`,
    });
  }
  const reachable = all.filter((candidate) => !isUnreachable(candidate));
  const there = all.length === 0 ? 'none' : listed(reachable.length > 0 ? reachable : all);
  return net === undefined
    ? new Fault('settings', `this machine has no address that other machines can reach; it has ${there}`, {
        where: '--address',
        hint: '--net lo uses loopback',
      })
    : new Fault('settings', `no address of this machine fits ${formatNet(net)}; it has ${there}`, {
        where: '--net',
        hint: 'choose one of them',
      });
}

/** An interface that has only one of them, if there is one, and the first address itself. */
function choices(candidates: readonly Candidate[]): string {
  const alone = candidates.find(({ name }) => candidates.filter((other) => other.name === name).length === 1);
  const address = `--net ${candidates[0]?.host}`;
  return alone === undefined ? address : `--net ${alone.name}, or ${address}`;
}

function matches(net: Net | undefined, { name, host, family }: Candidate): boolean {
  switch (net?.kind) {
    case undefined:
      return true;
    case 'interface':
      return name === net.name;
    case 'network': {
      if (family !== net.family) return false;
      const network = new BlockList();
      network.addSubnet(net.address, net.bits, net.family);
      return network.check(host, family);
    }
  }
}

/** Whether loopback or link-local is what was asked for: `lo`, or a network that lies within one of them. */
function isWanted(net: Net | undefined): boolean {
  if (net === undefined) return false;
  return net.kind === 'interface' ? net.name === 'lo' : net.bits >= 8 && unreachable.check(net.address, net.family);
}

const isUnreachable = ({ host, family }: Candidate): boolean => unreachable.check(host, family);

const listed = (candidates: readonly Candidate[]): string =>
  candidates.map(({ name, host }) => `${host} (${name})`).join(', ');

const formatNet = (net: Net): string => (net.kind === 'interface' ? net.name : `${net.address}/${net.bits}`);

function fromEnvironment(
  { host, port }: Extract<AddressSource, { kind: 'environment' }>,
  env: Surroundings['env'],
): Address | Fault {
  const where = `--address env:${host}${port === undefined ? '' : `:${port}`}`;
  const read = <T>(name: string, parse: (text: string) => Parsed<T>): T | Fault => {
    const text = env[name];
    if (text === undefined || text === '') {
      return new Fault('settings', `the variable ${name} is not set`, { where });
    }
    const parsed = parse(text);
    return parsed.ok ? parsed.value : new Fault('settings', `${name}: ${parsed.reason}`, { where });
  };
  if (port === undefined) return read(host, parseReachable);
  const hostRead = read(host, parseHost);
  if (hostRead instanceof Fault) return hostRead;
  const portRead = read(port, parsePort);
  if (portRead instanceof Fault) return portRead;
  const reachable = parseReachable(formatAddress({ ...hostRead, port: portRead }));
  return reachable.ok ? reachable.value : new Fault('settings', `${host}: ${reachable.reason}`, { where });
}
