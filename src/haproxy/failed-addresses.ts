import { parseSocketAddress, type SocketAddress } from '../model/socket-address.ts';
import { backoffMs } from '../waiting/backoff.ts';

type FailedAddress = { readonly failures: number; readonly until: number };
export type FailedAddresses = ReadonlyMap<string, FailedAddress>;

// Each reload that fails makes the worker refuse connections for 2 s.
const backoff = { firstMs: 10_000, mostMs: 600_000 };
const mostKept = 1000;

const keyOf = ({ protocol, host, ports }: SocketAddress): string => `${protocol} ${host} ${ports?.first}`;

/**
 * Remembers the addresses for which HAProxy refused a reload: its message `cannot bind … for [address]` names
 * them. Such an address could be had when it was tried just before, as one that another program takes and gives up in turn.
 */
export function withFailed(known: FailedAddresses, message: string, now: number): FailedAddresses {
  const failed = new Map([...known].filter(([, { until }]) => now < until + backoff.mostMs).slice(-mostKept));
  for (const [alert, text = ''] of message.matchAll(
    /(?:quic|udp)?[46]?: cannot bind [^(]*\([^)]*\) for \[([^\]]+)\]/g,
  )) {
    const address = parseSocketAddress(text, '', /^(quic|udp)/.test(alert) ? 'udp' : 'tcp');
    if (address === undefined) continue;
    const failures = (known.get(keyOf(address))?.failures ?? 0) + 1;
    failed.delete(keyOf(address));
    failed.set(keyOf(address), { failures, until: now + backoffMs(backoff, failures) });
  }
  return failed;
}

/** Without the addresses that HAProxy listens on now. */
export function withoutLoaded(known: FailedAddresses, loaded: readonly SocketAddress[]): FailedAddresses {
  if (known.size === 0) return known;
  const has = new Set(loaded.map(keyOf));
  return new Map([...known].filter(([key]) => !has.has(key)));
}

/** Milliseconds until this address may be tried again; undefined: it may be tried now. */
export function retryInMs(known: FailedAddresses, address: SocketAddress, now: number): number | undefined {
  const until = known.get(keyOf(address))?.until ?? 0;
  return until > now ? until - now : undefined;
}

/**
 * Whether HAProxy needs a successful reload between two that fail. Since 3.1 the master has the next worker
 * ask the one that failed for its listening sockets, and gets none. So that worker binds all of them again. If it then fails too,
 * the connections that it has accepted by then are reset, and nobody listens on the path of the runtime socket any more. A
 * reload on the configuration that serves refuses nothing (measured with 3.2.26 and 3.4.7).
 */
export function mustSucceedBetween(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 1);
}
