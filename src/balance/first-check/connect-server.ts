import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ServerPlace } from './server-target.ts';

// As HAProxy's checks say that they speak for nobody: UNKNOWN and LOCAL.
const proxyHeaders = {
  v1: Buffer.from('PROXY UNKNOWN\r\n'),
  v2: Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'),
} as const;

/** A connection to a server, made as HAProxy's check makes it. Rejects when there is none before `signal` aborts. */
export async function connectServer(place: ServerPlace, signal: AbortSignal): Promise<Socket> {
  const { host, port, proxyProtocol, tls } = place;
  const pem = tls?.certificate === undefined ? undefined : await readFile(tls.certificate);
  const plain = await ready(connect({ host, port, noDelay: true }), 'connect', signal);
  if (proxyProtocol !== undefined) plain.write(proxyHeaders[proxyProtocol]);
  if (tls === undefined) return plain;
  try {
    return await secure(plain, tls, pem, signal);
  } catch (error) {
    // Node may refuse a certificate that HAProxy takes.
    plain.destroy();
    throw error;
  }
}

function secure(
  plain: Socket,
  { name, protocol }: NonNullable<ServerPlace['tls']>,
  pem: Buffer | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  const secured = connectTls({
    socket: plain,
    ...(name === undefined ? {} : { servername: name }),
    ...(pem === undefined ? {} : { cert: pem, key: pem }),
    ALPNProtocols: protocol === 'h2' ? ['h2'] : [],
    // HAProxy verifies the server on each connection of its own: here nothing is said that is secret.
    rejectUnauthorized: false,
  });
  return ready(secured, 'secureConnect', signal);
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
