import { isIPv4, isIPv6 } from 'node:net';
import { accepted, type Brand, type Parsed, quote, refused } from './parsed.ts';
import { parseWhole } from './whole-number.ts';

/** A network, `10.0.0.0/8`, or one address of it. */
export type Cidr = Brand<string, 'Cidr'>;

/** Reads a network or a single address. Bits behind the prefix are refused: `10.1.0.0/8` is more likely mistyped. */
export function parseCidr(text: string): Parsed<Cidr> {
  const no = refused(`${quote(text)} is not a network: 10.0.0.0/8, fd00::/8, or one address`);
  if (text.length > 43) return no;
  const [address = '', prefix, ...rest] = text.split('/');
  const bits = isIPv4(address) ? 32 : isIPv6(address) && !address.includes('%') ? 128 : undefined;
  if (bits === undefined || rest.length > 0) return no;
  if (prefix === undefined) return accepted(text.toLowerCase() as Cidr);
  const length = parseWhole(prefix, { least: 0, most: bits });
  if (!length.ok) return no;
  return hostBits(address, bits, length.value) === 0n
    ? accepted(text.toLowerCase() as Cidr)
    : refused(`${quote(text)} has bits set behind its prefix`);
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
