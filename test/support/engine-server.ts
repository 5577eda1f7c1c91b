import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export type ServedContainer = {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly status?: 'running' | 'paused' | 'stopping' | 'exited';
  readonly health?: 'starting' | 'healthy' | 'unhealthy';
  readonly stopSignal?: string;
  readonly startedAt?: string;
  readonly createdAt?: string;
  readonly address?: string;
};

type EngineEvent = { readonly Action: string; readonly timeNano: number };

/** The answers of an engine on a unix socket, for what a real engine cannot be made to do at a given moment. */
export async function startEngineServer(
  path: string,
  {
    podman = false,
    forbidden = [],
    past = 'answered',
  }: {
    readonly podman?: boolean;
    /** The methods that a proxy refuses. */
    readonly forbidden?: readonly string[];
    /** What becomes of a request for past events. */
    readonly past?: 'answered' | 'refused' | 'never complete';
  } = {},
) {
  const containers = new Map<string, ServedContainer>();
  const streams = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const sent: EngineEvent[] = [];

  const listed = (all: boolean) =>
    [...containers].flatMap(([id, { name, labels = {}, status = 'running' }]) =>
      all || status === 'running' || status === 'paused'
        ? [{ Id: id, Names: [`/${name}`], Labels: labels, State: status }]
        : [],
    );
  const inspected = (id: string) => {
    const found = containers.get(id);
    if (found === undefined) return undefined;
    const { name, labels = {}, status = 'running', health, stopSignal = '', startedAt, createdAt, address = '10.9.0.1' } = found; // biome-ignore format: one line
    return {
      Id: id,
      Name: `/${name}`,
      Created: createdAt ?? '2026-01-01T00:00:00Z',
      State: {
        Status: status,
        Running: status !== 'exited',
        Paused: status === 'paused',
        StartedAt: startedAt ?? '2026-01-01T00:00:00Z',
        ...(health === undefined ? {} : { Health: { Status: health } }),
      },
      Config: { Labels: labels, StopSignal: stopSignal, ExposedPorts: { '80/tcp': {} } },
      NetworkSettings: { Ports: {}, Networks: { net: { IPAddress: address } } },
    };
  };

  /** The status and the body of an answer that is complete at once. */
  const answerTo = (method: string, url: string): readonly [status: number, body?: unknown] => {
    if (forbidden.includes(method)) return [403, { message: 'not allowed' }];
    if (url.startsWith('/containers/json')) return [200, listed(url.includes('all=true'))];
    const [, id = '', what = ''] = /^\/containers\/([^/]+)\/(\w+)/.exec(url) ?? [];
    const container = inspected(id);
    if (container === undefined) return [404, { message: `no such container: ${id}` }];
    return what === 'json' ? [200, container] : [204];
  };
  /** As Docker does: at once, since `until` is over. */
  const answerPast = (query: URLSearchParams, response: ServerResponse): void => {
    if (past === 'refused') {
      response.writeHead(403).end('{"message":"not allowed"}');
      return;
    }
    response.writeHead(200).flushHeaders();
    const [until, { event: actions }] = [Number(query.get('until')), JSON.parse(query.get('filters') ?? '{}')];
    for (const event of sent) {
      if (actions.includes(event.Action) && event.timeNano / 1e9 <= until) response.write(`${JSON.stringify(event)}\n`);
    }
    if (past === 'answered') response.end();
  };
  const answer = ({ method = 'GET', url = '/' }: IncomingMessage, response: ServerResponse): void => {
    requests.push(`${method} ${url.split('?', 1)[0]}`);
    if (podman) response.setHeader('Libpod-Api-Version', '4.3.1');
    if (url.startsWith('/events')) {
      const query = new URL(url, 'http://engine').searchParams;
      if (query.has('until')) {
        answerPast(query, response);
        return;
      }
      response.writeHead(200).flushHeaders();
      streams.add(response.on('close', () => streams.delete(response)));
      return;
    }
    const [status, body] = answerTo(method, url);
    response.writeHead(status).end(body === undefined ? undefined : JSON.stringify(body));
  };

  const server = createServer(answer).on('connection', (socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)));
  });
  const engine = {
    address: `unix://${path}`,
    requests,
    containers,
    /** Whether a client follows the events. */
    get followed(): boolean {
      return streams.size > 0;
    },
    /** Puts a container, and sends the event of it if one is named. */
    put(id: string, container: ServedContainer, action?: string, attributes: object = {}): void {
      containers.set(id, container);
      if (action !== undefined) engine.send(id, action, attributes);
    },
    remove(id: string, action?: string): void {
      containers.delete(id);
      if (action !== undefined) engine.send(id, action);
    },
    send(id: string, Action: string, Attributes: object = {}): void {
      const event = { Type: 'container', Action, Actor: { ID: id, Attributes }, timeNano: Date.now() * 1e6 };
      sent.push(event);
      for (const stream of streams) stream.write(`${JSON.stringify(event)}\n`);
    },
    /** Ends the streams of events, in the middle of one. */
    cut(): void {
      for (const stream of streams) {
        stream.write('{"Type":"cont');
        stream.socket?.destroy();
      }
    },
    listen: () => new Promise<void>((resolve) => server.listen(path, resolve)),
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(path, { force: true });
    },
  };
  await engine.listen();
  onTestFinished(() => (server.listening ? engine.close() : undefined));
  return engine;
}
