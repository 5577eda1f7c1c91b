import { request as requestHttp } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import type { StatusRange } from '../../model/policy/check.ts';
import { grpcCheckRequest, grpcServing } from '../../render/grpc-check.ts';
import { connectServer } from './connect-server.ts';
import type { ServerTarget } from './server-target.ts';

/** HAProxy reads no more than this of an answer. */
const mostBytes = 16 * 1024;
/** The most that a server may send, with its certificates. */
const mostHeard = 64 * 1024;
const hearMs = 50;
const goodStatuses: readonly StatusRange[] = [{ least: 200, most: 399 }];

type HttpCheck = Extract<ServerTarget['check'], { kind: 'http' }>;
type Answer = { readonly status: number; readonly body: string };

/** Checks a server once, as HAProxy does. Rejects with the reason when it does not pass. */
export async function askServer(target: ServerTarget, signal: AbortSignal): Promise<void> {
  const { check, protocol, place } = target;
  const socket = await connectServer(place, signal);
  const cut = () => socket.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', cut, { once: true });
  const hearing = setInterval(() => {
    if (socket.bytesRead > mostHeard) socket.destroy(new Error(`more than ${mostHeard} bytes arrived, but no answer`));
  }, hearMs);
  try {
    if (check.kind === 'grpc') await askGrpc(socket, grpcCheckRequest(check.service, place.tls !== undefined));
    if (check.kind === 'http') judge(check, await (protocol === 'h2' ? askH2 : askH1)(socket, target, check));
  } finally {
    clearInterval(hearing);
    signal.removeEventListener('abort', cut);
    socket.destroy();
  }
}

function judge({ status, body }: HttpCheck, answer: Answer): void {
  const good = status.length === 0 ? goodStatuses : status;
  if (!good.some(({ least, most }) => answer.status >= least && answer.status <= most)) {
    throw new Error(`status ${answer.status}`);
  }
  if (body !== undefined && !answer.body.includes(body)) throw new Error(`the answer has no ${JSON.stringify(body)}`);
}

function askH1(socket: Socket, { service }: ServerTarget, { method, path, host, body }: HttpCheck): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({
      method,
      path,
      headers: { host: host ?? service },
      createConnection: () => socket,
    });
    request.once('response', (response) => {
      const status = response.statusCode ?? 0;
      if (body === undefined) resolve({ status, body: '' });
      else void readText(response).then((text) => resolve({ status, body: text }), reject);
    });
    request.on('information', oneAtMost(socket));
    request.on('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
    request.end();
  });
}

/** A server that sends `100 Continue` without end must not keep pointsman busy until the deadline. */
function oneAtMost(socket: Socket): () => void {
  let heard = 0;
  return () => {
    heard += 1;
    if (heard > 1) socket.destroy(new Error('a second informational response (1xx) arrived instead of the response'));
  };
}

function askH2(socket: Socket, { service }: ServerTarget, { method, path, host, body }: HttpCheck): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${host ?? service}`, { createConnection: () => socket });
    session.on('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
    const request = session.request({ ':method': method, ':path': path, ':authority': host ?? service });
    request.on('headers', oneAtMost(socket));
    request.on('error', reject);
    request.once('response', ({ ':status': status = 0 }) => {
      if (body === undefined) resolve({ status, body: '' });
      else void readText(request).then((text) => resolve({ status, body: text }), reject);
    });
    request.end();
  });
}

async function readText(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) continue;
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= mostBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, mostBytes);
}

/** Resolves when the bytes of a good answer come. */
function askGrpc(socket: Socket, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('hex');
      if (answer.includes(grpcServing)) resolve();
      else if (answer.length > 2 * mostBytes) reject(new Error('it does not say SERVING'));
    });
    socket.once('close', () => reject(new Error('it does not say SERVING')));
    socket.write(Buffer.from(request, 'hex'));
  });
}
