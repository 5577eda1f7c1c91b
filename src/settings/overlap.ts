import { type Address, formatAddress } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { isWildcard, parseSocketAddress } from '../model/socket-address.ts';

/** A setting that names an address to listen on, over TCP. */
type Listening = { readonly flag: string; readonly address: Address | undefined };

/**
 * The first setting whose address overlaps with that of an earlier one. HAProxy opens both without an error, and the kernel then gives
 * each some of the connections.
 */
export function overlapFault(all: readonly Listening[]): Fault | undefined {
  for (const [index, { flag, address }] of all.entries()) {
    if (address === undefined) continue;
    for (const other of all.slice(0, index)) {
      if (other.address === undefined || !overlap(address, other.address)) continue;
      const [mine, others] = [formatAddress(address), formatAddress(other.address)];
      return new Fault('settings', `${mine} overlaps with ${others} of ${other.flag}`, {
        where: flag,
        hint: `give ${flag} and ${other.flag} different ports, or addresses of which neither includes the other`,
      });
    }
  }
  return undefined;
}

/** Whether a connection can be for both. Two names, or a name and one address, may be of different machines' addresses. */
function overlap(one: Address, other: Address): boolean {
  if (one.port !== other.port) return false;
  const [host, otherHost] = [hostOf(one), hostOf(other)];
  // `[::]` has IPv4, too.
  if (host === otherHost || host === '::' || otherHost === '::') return true;
  if (isWildcard(host)) return other.family !== 'ipv6';
  if (isWildcard(otherHost)) return one.family !== 'ipv6';
  return isLocalhost(one, otherHost) || isLocalhost(other, host);
}

/** One spelling for each address. */
const hostOf = (address: Address): string => parseSocketAddress(formatAddress(address), '')?.host ?? address.host;

const isLocalhost = ({ host }: Address, otherHost: string): boolean =>
  host === 'localhost' && ['127.0.0.1', '::1'].includes(otherHost);
