import { isIPv4, isIPv6 } from 'node:net';
import { type Address, canBeServer, parseAddress, parseCidr, parsePort } from './address.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';

/** Where the address to announce comes from. */
export type AddressSource =
  | { readonly kind: 'given'; readonly address: Address }
  /** This machine's own, with this port. `published`: a container's, so the bridges of its engine do not count. */
  | { readonly kind: 'found'; readonly port: number; readonly published?: true }
  /**
   * Environment variables: one with `host:port`, or one with the host and one with the port. For a bridge network, where
   * others reach the application at its host's address and a published port.
   */
  | { readonly kind: 'environment'; readonly host: string; readonly port: string | undefined };

const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Reads `HOST:PORT`, `:PORT`, `env:NAME` or `env:HOSTNAME:PORTNAME`. */
export function parseAddressSource(text: string): Parsed<AddressSource> {
  if (text.startsWith('env:')) {
    const [host = '', port, ...more] = text.slice('env:'.length).split(':');
    const strange = [host, ...(port === undefined ? [] : [port])].find((name) => !variable.test(name));
    if (strange !== undefined || more.length > 0) {
      return rejected(
        `${quote(text)} is not env:NAME, or env:NAME:NAME with a variable for the host and one for the port`,
      );
    }
    return accepted({ kind: 'environment', host, port });
  }
  if (text.startsWith(':')) {
    const port = parsePort(text.slice(1));
    return port.ok ? accepted({ kind: 'found', port: port.value }) : port;
  }
  const address = parseReachable(text);
  return address.ok ? accepted({ kind: 'given', address: address.value }) : address;
}

/** Reads an address that others can connect to. */
export function parseReachable(text: string): Parsed<Address> {
  const address = parseAddress(text);
  if (!address.ok) return address;
  if (canBeServer(address.value)) return address;
  const { host } = address.value;
  return rejected(`${host} is an address to listen on: give the address that balancers connect to`);
}

/** Which of this machine's addresses to take: those of one interface, or those within a network. */
export type Net =
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'network'; readonly family: 'ipv4' | 'ipv6'; readonly address: string; readonly bits: number };

/** Reads `eth0`, `10.0.0.0/8`, `2001:db8::/32` or one address. */
export function parseNet(text: string): Parsed<Net> {
  const [address = '', bits] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
  if (family !== undefined) {
    const cidr = parseCidr(text);
    const widest = family === 'ipv4' ? 32 : 128;
    return cidr.ok ? accepted({ kind: 'network', family, address, bits: Number(bits ?? widest) }) : cidr;
  }
  // Linux' own limit: IFNAMSIZ, without its NUL.
  return /^[^\s/:]{1,15}$/.test(text)
    ? accepted({ kind: 'interface', name: text })
    : rejected(`${quote(text)} is neither an interface (eth0) nor a network (10.0.0.0/8)`);
}
