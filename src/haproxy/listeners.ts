/** An address that a configuration listens on. */
export type Listener = {
  /** Of its `bind`, counted from 1. */
  readonly line: number;
  /** `127.0.0.1:80`. */
  readonly address: string;
  /** The `bind` with only those keywords that decide whether it can be had. */
  readonly bind: string;
};

const opensSection =
  /^\s*(global|defaults|frontend|listen|backend|peers|resolvers|userlist|cache|program|ring|mailers|log-forward|fcgi-app|http-errors|crt-store|traces|log-profile|acme)\b/;
const takesListeners: ReadonlySet<string | undefined> = new Set(['frontend', 'listen']);
// Sockets of other kinds are HAProxy's own, or are inherited; QUIC needs its certificates.
const otherKinds = /^(?:\/|unix@|abnsz?@|fd@|sockpair@|quic[46]@|rhttp@|rev@|udp[46]?@)/;
const flags: ReadonlySet<string> = new Set(['v4v6', 'v6only', 'transparent']);
const withValue: ReadonlySet<string> = new Set(['interface', 'namespace']);

/** The TCP listeners of a configuration. One within `.if` is left out, for nobody but HAProxy knows whether it counts. */
export function listenersIn(config: string): readonly Listener[] {
  const listeners: Listener[] = [];
  let section: string | undefined;
  let conditions = 0;
  for (const [i, text] of config.split('\n').entries()) {
    section = opensSection.exec(text)?.[1] ?? section;
    const words = text.trim().split(/\s+/);
    const [keyword = '', address = '', ...rest] = words;
    if (keyword === '.if') conditions += 1;
    if (keyword === '.endif') conditions -= 1;
    if (keyword !== 'bind' || conditions > 0 || !takesListeners.has(section) || otherKinds.test(address)) continue;
    const kept: string[] = [];
    for (const [at, word] of rest.entries()) {
      if (flags.has(word)) kept.push(word);
      else if (withValue.has(word)) kept.push(word, rest[at + 1] ?? '');
    }
    listeners.push({ line: i + 1, address, bind: ['bind', address, ...kept].join(' ') });
  }
  return listeners;
}
