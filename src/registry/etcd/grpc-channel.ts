import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { describe } from '../../model/fault.ts';
import type { Method } from './etcd-protocol.ts';
import { decode, encode } from './protobuf.ts';

/** PEM. Without a CA the system's count. */
export type TlsFiles = { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };

/** The headers of a call: `token`, `hasleader`. */
export type CallMetadata = Readonly<Record<string, string>>;

/** etcd's answer that a call failed. `code` is gRPC's status. */
class CallFailed extends Error {
  override readonly name = 'CallFailed';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** An answer that is larger than the caller takes; it was not read. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
  readonly bytes: number;

  constructor(bytes: number) {
    super(`etcd's answer has ${bytes} bytes`);
    this.bytes = bytes;
  }
}

/** Receives the messages of a stream, each arrival of bytes, and its end, which comes once and last. */
export type StreamListener<R> = {
  readonly onMessage: (message: R) => void;
  /** Part of a message, or all of one, has arrived. */
  readonly onBytes: () => void;
  readonly onEnd: (error: Error | undefined) => void;
  /** A longer message is not read; the stream ends with TooLarge. */
  readonly mostBytes?: number | undefined;
};

export type DuplexCall<T> = {
  write(message: T): void;
  /** Nothing is delivered after this. */
  cancel(): void;
};

// etcd answers a list with megabytes: HTTP/2's windows of 64 kB would make a round trip of each 64 kB of it.
const windowBytes = 4 * 2 ** 20;

/**
 * One connection to one member, and gRPC on it: a request is a path and messages with their length before them, an answer is
 * messages and then the status. The connection is opened at once, is never opened again, and `close` ends it at once in any
 * state. A new connection needs a new channel.
 */
export class GrpcChannel {
  readonly #session: ClientHttp2Session;
  readonly #calls = new Set<(error: Error) => void>();
  /** Why there will be no further call. */
  #broken: Error | undefined;
  #greeted = false;

  /** `serverName`: what the certificate has to be for, if not the endpoint's host. */
  constructor(endpoint: string, tls: TlsFiles | undefined, serverName: string | undefined) {
    const settings = { initialWindowSize: windowBytes, enablePush: false };
    this.#session = connect(`${tls === undefined ? 'http' : 'https'}://${endpoint}`, {
      settings,
      ...tls,
      ...(serverName === undefined ? {} : { servername: serverName }),
    });
    const session = this.#session;
    session.once('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(windowBytes);
    });
    session.once('remoteSettings', () => {
      this.#greeted = true;
    });
    session.on('error', (error) => this.#end(error));
    // The member may still answer earlier requests.
    session.on('goaway', () => {
      this.#broken ??= new Error('etcd ends the connection');
    });
    session.on('close', () => {
      const tlsThere = tls === undefined ? ' (if etcd uses TLS, write --registry etcds://…)' : '';
      this.#end(new Error(this.#greeted ? 'the connection was closed' : `closed before etcd answered${tlsThere}`));
    });
  }

  /** Asks once. Rejects after `ms`, and with TooLarge as soon as an answer of more than `mostBytes` begins. */
  unary(
    method: Method,
    request: object,
    metadata: CallMetadata,
    { ms, mostBytes }: { readonly ms: number; readonly mostBytes?: number | undefined },
  ): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      let answer: Record<string, unknown> | undefined;
      const call = this.#open(
        method,
        { ...metadata, 'grpc-timeout': `${Math.ceil(ms)}m` },
        {
          onBytes: () => undefined,
          onMessage: (message) => {
            answer = message;
          },
          onEnd: (error) => {
            clearTimeout(timer);
            if (error !== undefined) reject(error);
            else if (answer === undefined) reject(new Error('etcd ended a call without an answer'));
            else resolve(answer);
          },
          mostBytes,
        },
      );
      const timer = setTimeout(() => {
        call.cancel();
        reject(new Error(`${this.#session.connecting ? 'no connection' : 'no answer'} within ${Math.round(ms)} ms`));
      }, ms);
      call.write(request, true);
    });
  }

  duplex<T extends object, R>(method: Method, metadata: CallMetadata, listener: StreamListener<R>): DuplexCall<T> {
    const call = this.#open(method, metadata, listener as unknown as StreamListener<Record<string, unknown>>);
    return { write: (message) => call.write(message, false), cancel: () => call.cancel() };
  }

  close(): void {
    this.#end(new Error('the connection was closed'));
    this.#session.destroy();
  }

  #end(error: Error): void {
    this.#broken ??= error;
    for (const end of [...this.#calls]) end(this.#broken);
  }

  #open(method: Method, metadata: CallMetadata, listener: StreamListener<Record<string, unknown>>) {
    let over = false;
    let stream: ClientHttp2Stream | undefined;
    const end = (error: Error | undefined, tell = true) => {
      if (over) return;
      over = true;
      this.#calls.delete(end);
      stream?.close(constants.NGHTTP2_CANCEL);
      if (tell) listener.onEnd(error);
    };
    if (this.#broken !== undefined || this.#session.closed || this.#session.destroyed) {
      const error = this.#broken ?? new Error('the connection was closed');
      queueMicrotask(() => end(error));
    } else {
      this.#calls.add(end);
      stream = this.#session.request({
        ':method': 'POST',
        ':path': method.path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...metadata,
      });
      // The connection, whose error follows those of its streams, knows the reason better.
      const onEnd = (error: Error | undefined) => {
        if (error === undefined || error instanceof CallFailed || error instanceof TooLarge) end(error);
        else setImmediate(() => end(this.#broken ?? error));
      };
      listen(stream, method, { ...listener, onEnd }, () => over);
    }
    return {
      write(message: object, last: boolean): void {
        if (over || stream === undefined) return;
        const frame = framed(encode(method.request, message));
        if (last) stream.end(frame);
        else stream.write(frame);
      },
      cancel: () => end(undefined, false),
    };
  }
}

// Megabytes of small messages may be there at once. The process has other things to do than to take them all: after so many ms
// they wait in HTTP/2's window until the others had their turn.
const turnMs = 10;

function listen(
  stream: ClientHttp2Stream,
  method: Method,
  { onMessage, onBytes, onEnd, mostBytes }: StreamListener<Record<string, unknown>>,
  isOver: () => boolean,
): void {
  const frames = new Frames(mostBytes);
  let status: Error | 'ok' | undefined;
  let turn: { readonly began: number } | undefined;
  const takeTurns = () => {
    if (turn === undefined) {
      turn = { began: performance.now() };
      setImmediate(() => {
        turn = undefined;
        stream.resume();
      });
    } else if (performance.now() - turn.began > turnMs) stream.pause();
  };
  stream.on('response', (headers) => {
    // A call that fails at once has its status here.
    status = statusOf(headers);
    if (status === undefined && headers[':status'] !== 200)
      status = new Error(`it answers HTTP ${headers[':status']}, not gRPC`);
  });
  stream.on('trailers', (trailers) => {
    status ??= statusOf(trailers);
  });
  stream.on('data', (chunk: Buffer) => {
    if (isOver()) return;
    takeTurns();
    onBytes();
    try {
      for (const bytes of frames.take(chunk)) {
        if (isOver()) return;
        onMessage(decode(method.response, bytes));
      }
    } catch (error) {
      onEnd(error instanceof TooLarge ? error : new Error(`etcd's answer cannot be read: ${describe(error)}`));
    }
  });
  stream.on('error', (error) => onEnd(error));
  stream.on('close', () => {
    if (status === 'ok') onEnd(undefined);
    else onEnd(status ?? new Error('etcd ended the call without a status'));
  });
}

function statusOf(headers: Readonly<Record<string, unknown>>): Error | 'ok' | undefined {
  const { 'grpc-status': status, 'grpc-message': message } = headers;
  if (status === undefined) return undefined;
  if (Number(status) === 0) return 'ok';
  return new CallFailed(Number(status), unescaped(String(message ?? '')) || `gRPC status ${String(status)}`);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const prefixBytes = 5;

/** A message with its prefix: not compressed, and its length. */
function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Puts messages together from the pieces that they arrive in. */
class Frames {
  #chunks: Buffer[] = [];
  #have = 0;
  /** The length of the next message with its prefix, or of the prefix. */
  #need = prefixBytes;
  readonly #most: number;

  constructor(mostBytes = Number.POSITIVE_INFINITY) {
    this.#most = mostBytes;
  }

  take(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    const messages: Buffer[] = [];
    while (this.#have >= this.#need) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] ?? chunk) : Buffer.concat(this.#chunks);
      this.#chunks = [all];
      if (all[0] !== 0) throw new Error('it is compressed, which was not asked for');
      const size = prefixBytes + all.readUInt32BE(1);
      if (size > this.#most) throw new TooLarge(size);
      if (all.length >= size) {
        messages.push(all.subarray(prefixBytes, size));
        const rest = all.subarray(size);
        this.#chunks = rest.length === 0 ? [] : [rest];
        this.#have = rest.length;
        this.#need = prefixBytes;
      } else this.#need = size;
    }
    return messages;
  }
}
