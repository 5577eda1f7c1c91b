import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { type Address, type Cidr, canBeServer, formatAddress } from '../model/address.ts';

export type AddressSettings = {
  /** Networks that instances may be in; empty: every one but the special ranges. */
  readonly allowed: readonly Cidr[];
  /** Whether instances may be on the balancer's own machine without `allowed` saying so. */
  readonly loopback: boolean;
};

/** An address on which pointsman or HAProxy listens, on all ports from `port` to `lastPort` if there is one. */
export type OwnListener = Address & { readonly lastPort?: number };

type Place = Pick<Address, 'host' | 'port'>;

/** Each rule returns why an instance may not be at an address; undefined: it may. */
export type AddressRules = {
  /** For an IP address with any port. */
  readonly refusedHost: (host: string) => string | undefined;
  /** For an address and a port. `machine` has the addresses of this machine, `own` those on which it listens. */
  readonly refused: (place: Place, machine: BlockList, own: readonly OwnListener[]) => string | undefined;
};

type Special = { readonly what: string; readonly networks: readonly string[] };

/** Refused unless `allowed` names a network within them. */
const loopback: Special = { what: 'a loopback address', networks: ['127.0.0.0/8', '::1/128'] };
const special: readonly Special[] = [
  { what: 'a link-local address', networks: ['169.254.0.0/16', 'fe80::/10'] },
  {
    what: 'an address of cloud metadata',
    networks: [
      // Of AWS, Google, Oracle and Scaleway, by IPv6.
      ...['fd00:ec2::/32', 'fd20:ce::254/128', 'fd00:c1::a9fe:a9fe/128', 'fd00:42::42/128'],
      // Of Alibaba, Azure and Oracle.
      ...['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
    ],
  },
];

export function addressRules({ allowed, loopback: mayLoop }: AddressSettings): AddressRules {
  const general = listOf(allowed);
  const ranges = [...special, ...(mayLoop ? [] : [loopback])].map(({ what, networks }) => {
    const list = listOf(networks);
    const exceptions = listOf(allowed.filter((network) => networks.some((range) => isWithin(network, range))));
    return { what, list, exceptions };
  });
  const exempt = listOf(mayLoop ? loopback.networks : []);
  const refusedHost = (given: string): string | undefined => {
    const host = plainHost(given);
    const family = familyOf(host);
    if (!canBeServer({ host, family })) return `${given} is not the address of a single server`;
    for (const { what, list, exceptions } of ranges) {
      if (list.check(host, family)) {
        return exceptions.check(host, family) ? undefined : `${given} is ${what}, which needs --allow-addresses`;
      }
    }
    if (allowed.length === 0 || general.check(host, family) || exempt.check(host, family)) return undefined;
    return `${given} is in none of the networks of --allow-addresses`;
  };
  return {
    refusedHost,
    refused: (place, machine, own) => {
      const refused = refusedHost(place.host);
      if (refused !== undefined) return refused;
      const at = own.find((listener) => reaches(place, listener, machine));
      return (
        at &&
        `${formatAddress({ ...place, family: familyOf(place.host) })} is an address of this balancer itself: ${formatAddress(at)}`
      );
    },
  };
}

export const hasPort = ({ port, lastPort = port }: OwnListener, asked: number): boolean =>
  asked >= port && asked <= lastPort;

/** Whether an instance at this place would be the listener itself. */
function reaches({ host, port }: Place, listener: OwnListener, machine: BlockList): boolean {
  if (!hasPort(listener, port)) return false;
  const plain = plainHost(host);
  const own = plainHost(listener.host);
  // A name, such as localhost, may stand for any of this machine's addresses.
  const everywhere = listener.family === 'name' || own === '0.0.0.0' || own === '::';
  return everywhere ? machine.check(plain, familyOf(plain)) : listOf([own]).check(plain, familyOf(plain));
}

/** The addresses of this machine: all of loopback, and those of its interfaces. */
export function machineList(addresses: readonly string[]): BlockList {
  return listOf([...loopback.networks, ...addresses.map(plainHost)]);
}

const embeddingIpv4 = listOf(['::ffff:0:0/96', '64:ff9b::/96']);

/** An IPv4 address that is written as IPv6 (`::ffff:127.0.0.1`, or by NAT64) is judged as the one that is reached. */
function plainHost(host: string): string {
  if (!isIPv6(host) || !embeddingIpv4.check(host, 'ipv6')) return host;
  // The URL parser writes the last two groups in hexadecimal.
  const groups = new URL(`http://[${host}]/`).hostname.slice(1, -1).split(':');
  const [high = '', low = ''] = groups.slice(-2);
  const [a, b] = [Number.parseInt(high || '0', 16), Number.parseInt(low || '0', 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}

function familyOf(host: string): 'ipv4' | 'ipv6' {
  return isIPv4(host) ? 'ipv4' : 'ipv6';
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    if (bits === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(bits), familyOf(address));
  }
  return list;
}

function isWithin(network: string, range: string): boolean {
  const [address = '', bits] = network.split('/');
  const [, rangeBits] = range.split('/');
  const width = bits ?? (isIPv4(address) ? '32' : '128');
  return Number(width) >= Number(rangeBits) && listOf([range]).check(address, familyOf(address));
}
