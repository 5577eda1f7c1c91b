import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, DEFAULT_CIPHERS, type PeerCertificate } from 'node:tls';
import type { ServerPlace } from './server-target.ts';

// The headers of HAProxy's checks, which have no client: UNKNOWN and LOCAL.
const proxyHeaders = {
  v1: Buffer.from('PROXY UNKNOWN\r\n'),
  v2: Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'),
} as const;

/**
 * Excludes finite-field Diffie-Hellman: the server chooses its parameters, and large ones keep the processor busy for a second.
 * haproxy.cfg excludes the same ciphers, and from HAProxy 3.0 on the same groups.
 */
const cheap = { ciphers: `${DEFAULT_CIPHERS}:!DHE`, ecdhCurve: 'X25519:P-256:P-384:P-521' } as const;

/** Connects to a server as HAProxy's check does. Rejects when there is no connection before `signal` aborts. */
export async function connectServer(place: ServerPlace, signal: AbortSignal): Promise<Socket> {
  const { host, port, proxyProtocol, tls } = place;
  const pem = tls?.certificate === undefined ? undefined : await readFile(tls.certificate);
  const ca = tls?.authority?.kind === 'file' ? await readFile(tls.authority.file) : undefined;
  const plain = await ready(connect({ host, port, noDelay: true }), 'connect', signal);
  if (proxyProtocol !== undefined) plain.write(proxyHeaders[proxyProtocol]);
  if (tls === undefined) return plain;
  try {
    return await secure(plain, tls, { pem, ca }, signal);
  } catch (error) {
    // Node may throw for a certificate that HAProxy accepts.
    plain.destroy();
    throw error;
  }
}

function secure(
  plain: Socket,
  { name, authority, protocol }: NonNullable<ServerPlace['tls']>,
  { pem, ca }: { readonly pem: Buffer | undefined; readonly ca: Buffer | undefined },
  signal: AbortSignal,
): Promise<Socket> {
  const secured = connectTls({
    socket: plain,
    ...cheap,
    ...(name === undefined ? {} : { servername: name }),
    ...(pem === undefined ? {} : { cert: pem, key: pem }),
    ...(ca === undefined ? {} : { ca }),
    ALPNProtocols: protocol === 'h2' ? ['h2'] : [],
    rejectUnauthorized: authority !== undefined,
    checkServerIdentity: (_, certificate) => (name === undefined ? undefined : misnamed(name, certificate)),
  });
  return ready(secured, 'secureConnect', signal);
}

/** As HAProxy's `verifyhost`: the common name counts, too, if no alternative name matches. */
function misnamed(name: string, certificate: PeerCertificate): Error | undefined {
  const error = checkServerIdentity(name, certificate);
  if (error === undefined) return undefined;
  const { subjectaltname: _, ...withoutOthers } = certificate;
  return checkServerIdentity(name, withoutOthers as PeerCertificate) === undefined ? undefined : error;
}

function ready<S extends Socket>(socket: S, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const cut = () => socket.destroy(new Error('no answer in time'));
    const done = (error: Error | undefined) => {
      signal.removeEventListener('abort', cut);
      if (error === undefined) resolve(socket);
      else reject(error);
    };
    socket.once(event, () => done(undefined));
    socket.once('close', () => done(new Error('the connection was closed')));
    // The listener stays: a socket that was closed may emit another error.
    socket.on('error', done);
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
  });
}
