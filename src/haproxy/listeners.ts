import {
  isSameSocket,
  isWildcard,
  mayOverlap,
  parseSocketAddress,
  type SocketAddress,
} from '../model/socket-address.ts';

/** An address that a configuration listens on. */
export type Listener = SocketAddress & {
  /** Of the line that has it, counted from 1. */
  readonly line: number;
  /** As it is written: `127.0.0.1:80`, `quic4@:443`. */
  readonly address: string;
  /** The keywords after it that decide whether it can be had. */
  readonly options: string;
};

const opensSection =
  /^\s*(global|defaults|frontend|listen|backend|peers|resolvers|userlist|cache|program|ring|mailers|log-forward|fcgi-app|http-errors|crt-store|traces|log-profile|acme)\b/;
const takesBind: ReadonlySet<string | undefined> = new Set(['frontend', 'listen', 'peers', 'log-forward']);
const flags: ReadonlySet<string> = new Set(['v4v6', 'v6only', 'transparent']);
const withValue: ReadonlySet<string> = new Set(['interface', 'namespace']);

/**
 * The TCP and UDP sockets of a configuration, those within `.if` too. `hostname` is this machine's: by it HAProxy knows which
 * of the peers it is itself.
 */
export function listenersIn(config: string, hostname: string): readonly Listener[] {
  const localPeer = /^\s*localpeer\s+(\S+)/m.exec(config)?.[1] ?? hostname;
  const listeners: Listener[] = [];
  let section: string | undefined;
  for (const [i, text] of config.split('\n').entries()) {
    section = opensSection.exec(text)?.[1] ?? section;
    const words = text
      .replace(/(^|\s)#.*/, '')
      .trim()
      .split(/\s+/);
    const found = addressesOf(section, words, localPeer);
    if (found === undefined) continue;
    const options: string[] = [];
    for (const [at, word] of found.rest.entries()) {
      if (flags.has(word)) options.push(word);
      else if (withValue.has(word)) options.push(word, found.rest[at + 1] ?? '');
    }
    const place = options.filter((word) => !flags.has(word)).join(' ');
    for (const address of found.list.split(',')) {
      const socket = parseSocketAddress(address, place, found.plain);
      if (socket !== undefined) listeners.push({ ...socket, line: i + 1, address, options: options.join(' ') });
    }
  }
  return listeners;
}

type Addresses = { readonly list: string; readonly rest: readonly string[]; readonly plain?: 'udp' };

/** The addresses that a line listens on; undefined: the line is no listener. */
function addressesOf(
  section: string | undefined,
  [keyword, first = '', second = '', ...more]: readonly string[],
  localPeer: string,
): Addresses | undefined {
  const after = second === '' ? more : [second, ...more];
  if (keyword === 'bind' && takesBind.has(section)) return { list: first, rest: after };
  if (keyword === 'dgram-bind' && section === 'log-forward') return { list: first, rest: after, plain: 'udp' };
  if (keyword === 'stats' && first === 'socket' && section === 'global') return { list: second, rest: more };
  const isPeer = section === 'peers' && (keyword === 'peer' || keyword === 'server') && first === localPeer;
  return isPeer && second.includes(':') ? { list: second, rest: [] } : undefined;
}

/**
 * Those that may be tried while HAProxy serves what it has loaded: an address that its worker listens on would take
 * connections from it, and the same address is not tried twice.
 */
export function toBeTried(wanted: readonly Listener[], loaded: readonly Listener[]): readonly Listener[] {
  const tried: Listener[] = [];
  // All addresses before single ones; last those that may be anything.
  const rank = ({ ports, host }: Listener) => (ports === undefined ? 2 : isWildcard(host) ? 0 : 1);
  for (const one of [...wanted].sort((a, b) => rank(a) - rank(b))) {
    if (loaded.some((other) => isSameSocket(one, other) || mayOverlap(one, other))) continue;
    if (!tried.some((other) => mayOverlap(one, other))) tried.push(one);
  }
  return tried;
}
