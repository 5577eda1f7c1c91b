import { describe, Fault } from '../../model/fault.ts';

/** The meaning of an error of a call. */
export type Failure =
  /** Ask another member, with a new client. */
  | { readonly kind: 'member'; readonly reason: string }
  /** The two sides do not trust each other. Another member may, and the files may be renewed a moment later. */
  | { readonly kind: 'untrusted'; readonly reason: string; readonly hint: string }
  /** etcd answers and takes no writes, until an operator does something. */
  | { readonly kind: 'full'; readonly reason: string; readonly hint: string }
  /** Every member will say the same. */
  | { readonly kind: 'denied'; readonly reason: string }
  /** The request has more than etcd is configured to take. */
  | { readonly kind: 'too-large'; readonly reason: string; readonly hint: string };

const ca = 'check --etcd-ca';
const client = 'check --etcd-cert and --etcd-key';

// Texts of OpenSSL and Node.js, and their meaning. The first match counts.
const tls: readonly (readonly [pattern: RegExp, reason: string, hint: string])[] = [
  [/certificate has expired/, "etcd's certificate has expired", 'renew it'],
  [
    /does not match certificate's altnames/,
    "etcd's certificate is for another address",
    'use an address that the certificate names',
  ],
  [
    /unable to verify|self[- ]signed certificate|unable to get (local )?issuer/,
    "etcd's certificate is not signed by a trusted CA",
    ca,
  ],
  [/key values mismatch/, 'the client certificate and its key do not match', client],
  [/alert number 45|alert certificate expired/, 'the client certificate has expired', 'renew it'],
  [
    /alert (bad certificate|certificate required|unknown ca)|alert number (42|48|116)/,
    'etcd does not accept the client certificate',
    client,
  ],
  [/PEM routines|no start line|bad base64/, 'a TLS file is not PEM', `${ca}, ${client.slice('check '.length)}`],
  [/wrong version number|packet length too long/, 'etcd does not use TLS at this address', 'write --registry etcd://…'],
];

// Texts of Node.js about a connection, and their meaning.
const connection: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /socket disconnected before secure TLS connection/,
    'closed during the TLS handshake (if etcd uses no TLS, write --registry etcd://…)',
  ],
  [/^Protocol error$/, 'the server at this address is not etcd: it does not speak gRPC'],
];

const full: Failure = {
  kind: 'full',
  reason: 'etcd accepts no writes: its quota is used up',
  hint: 'compact and defragment it or raise --quota-backend-bytes, then run etcdctl alarm disarm',
};

/** Classifies by the texts of etcd, OpenSSL and Node.js: most errors have no codes. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Fault) {
    // A TLS or password file that cannot be read.
    return { kind: 'untrusted', reason: error.toString(), hint: 'correct the file, or name another one' };
  }
  const text = describe(error);
  const untrusted = tls.find(([pattern]) => pattern.test(text));
  if (untrusted !== undefined) return { kind: 'untrusted', reason: untrusted[1], hint: untrusted[2] };
  if (/database space exceeded/.test(text)) return full;
  if (/too many operations in txn|request is too large/.test(text)) {
    const hint = 'start etcd with --max-txn-ops=128 and --max-request-bytes=1572864, its defaults, or with more';
    return { kind: 'too-large', reason: withoutWrapping(text), hint };
  }
  const denied = /permission denied|authentication failed|user name is empty|user name not found/i.test(text);
  const reason = connection.find(([pattern]) => pattern.test(text))?.[1] ?? withoutWrapping(text);
  return { kind: denied ? 'denied' : 'member', reason };
}

/** The text without the words that Node.js puts around the cause. */
function withoutWrapping(text: string): string {
  return /^The pending stream has been canceled \(caused by: (.+)\)$/s.exec(text)?.[1]?.trim() ?? text.trim();
}

/** Whether etcd was started with a smaller `--max-txn-ops`. */
export const isTooManyOperations = (error: unknown): boolean => /too many operations in txn/.test(describe(error));

/** Whether it failed by not answering at all. */
export function isSilence(reason: string): boolean {
  return /deadline exceeded|within \d+ ms|was silent for/i.test(reason);
}

/** Whether etcd answered that the user has no right to do it. */
export function isDenied(reason: string): boolean {
  return /permission denied/i.test(reason);
}

/** The failure on one line, with what to do about it where that is certain. */
export function describeFailure(failure: Failure): string {
  return 'hint' in failure ? `${failure.reason} (${failure.hint})` : failure.reason;
}

/** The Fault to reject with once no member is left to ask. */
export function registryFault(failure: Failure, where: string): Fault {
  switch (failure.kind) {
    case 'denied':
      return new Fault('registry-denied', failure.reason, {
        where,
        hint: 'check the user, its password and its roles in etcd',
      });
    case 'untrusted':
      return new Fault('registry-untrusted', failure.reason, { where, hint: failure.hint });
    case 'too-large':
    case 'full':
      return new Fault('registry-unreachable', failure.reason, { where, hint: failure.hint });
    case 'member':
      return new Fault('registry-unreachable', failure.reason, {
        where,
        hint: 'check the address and that etcd is healthy',
      });
  }
}
