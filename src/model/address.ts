import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';
import { parseWhole } from './quantity.ts';

/** Where an instance listens. IPv6 hosts are held without brackets. */
export type Address = { readonly host: string; readonly port: number; readonly family: 'ipv4' | 'ipv6' | 'name' };

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const hostName = new RegExp(`^(?=.{1,253}$)(?:${label}\\.)*${label}$`);
// "1.2.3", "1.2.3.256" and "0x7f.1" are mistyped or disguised addresses: a resolver reads them as numbers (inet_aton).
const endsInNumber = /(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)$/;

/** Quotes a refused address. The part before an `@` may be a password and is left out. */
export const quoteAddress = (text: string): string => quote(text.replace(/^.*@/s, '***@'));

/** Reads an IPv4 address, an IPv6 address (with or without brackets, no zone) or a DNS name. */
export function parseHost(text: string): Parsed<Pick<Address, 'host' | 'family'>> {
  if (isIPv4(text)) return accepted({ host: text, family: 'ipv4' });
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  // A zone ("fe80::1%eth0") means something on one machine only.
  if (isIPv6(bare) && !bare.includes('%')) return accepted({ host: bare.toLowerCase(), family: 'ipv6' });
  if (hostName.test(text) && !endsInNumber.test(text)) return accepted({ host: text.toLowerCase(), family: 'name' });
  return rejected(`${quoteAddress(text)} is not an IPv4 address, an IPv6 address or a host name`);
}

/** Reads a TCP port, 1 to 65535, in plain digits. HAProxy's own parser takes `-1`, `80x` and `0` (HAProxy 2.6 to 3.4). */
export function parsePort(text: string | number): Parsed<number> {
  const port = parseWhole(text, { least: 1, most: 65535 });
  return port.ok ? port : rejected(`${quoteAddress(String(text))} is not a port: 1 to 65535`);
}

/** Reads `host:port`; an IPv6 host is in brackets. */
export function parseAddress(text: string): Parsed<Address> {
  const colon = text.lastIndexOf(':');
  if (colon < 1) return rejected(`${quoteAddress(text)} is not host:port`);
  const hostText = text.slice(0, colon);
  if (hostText.includes(':') && !hostText.startsWith('[')) {
    return rejected(`${quoteAddress(text)} is not host:port: write an IPv6 host in brackets, as in [::1]:80`);
  }
  const host = parseHost(hostText);
  if (!host.ok) return host;
  const port = parsePort(text.slice(colon + 1));
  return port.ok ? accepted({ ...host.value, port: port.value }) : port;
}

const notOneServer = new BlockList();
notOneServer.addSubnet('0.0.0.0', 8);
notOneServer.addSubnet('224.0.0.0', 4);
notOneServer.addAddress('255.255.255.255');
notOneServer.addAddress('::', 'ipv6');
notOneServer.addSubnet('ff00::', 8, 'ipv6');

/** Whether one server can be reached there: not an unspecified, multicast or broadcast address. */
export function canBeServer({ host, family }: Pick<Address, 'host' | 'family'>): boolean {
  return family === 'name' || !notOneServer.check(host, family);
}

/** `host:port`, with brackets around an IPv6 host: how a person and a haproxy.cfg write it. */
export function formatAddress(address: Pick<Address, 'host' | 'port' | 'family'>): string {
  return address.family === 'ipv6' ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only this machine reaches the address. */
export function isLoopback({ host, family }: Pick<Address, 'host' | 'family'>): boolean {
  if (family === 'name') return host === 'localhost';
  return family === 'ipv4' ? host.startsWith('127.') : host === '::1';
}

/** A network, `10.0.0.0/8`, or one address of it. */
export type Cidr = Brand<string, 'Cidr'>;

/** Reads a network or a single address. Bits behind the prefix are refused: `10.1.0.0/8` is more likely mistyped. */
export function parseCidr(text: string): Parsed<Cidr> {
  const no = rejected(`${quote(text)} is not a network: write 10.0.0.0/8, fd00::/8, or one address`);
  if (text.length > 43) return no;
  const [address = '', prefix, ...rest] = text.split('/');
  const bits = isIPv4(address) ? 32 : isIPv6(address) && !address.includes('%') ? 128 : undefined;
  if (bits === undefined || rest.length > 0) return no;
  if (prefix === undefined) return accepted(text.toLowerCase() as Cidr);
  const length = parseWhole(prefix, { least: 0, most: bits });
  if (!length.ok) return no;
  return hostBits(address, bits, length.value) === 0n
    ? accepted(text.toLowerCase() as Cidr)
    : rejected(`${quote(text)} has host bits set: clear all bits after the prefix`);
}

function hostBits(address: string, bits: number, prefix: number): bigint {
  return BigInt.asUintN(bits - prefix, bits === 32 ? ipv4(address) : ipv6(address));
}

function ipv4(address: string): bigint {
  return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function ipv6(address: string): bigint {
  // The URL parser writes an embedded IPv4 address (::ffff:1.2.3.4) in hexadecimal.
  const written = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = [], tail = []] = written.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}
