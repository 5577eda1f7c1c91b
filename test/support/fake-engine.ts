import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { containerMeta, markOf } from '../../src/engine/container-mark.ts';
import type { Registry, Session } from '../../src/registry/registry.ts';
import { startApp } from './app.ts';

type FakeContainer = {
  readonly id: string;
  readonly name: string;
  readonly app: Awaited<ReturnType<typeof startApp>>;
  readonly key: string;
  state: 'running' | 'exited';
};

/**
 * The part of an engine's API that stops containers, and an agent that registers them as `register --containers` does. A container is an
 * application in this process. `POST /test/start?name=b` starts one, and `?sick` one that is never healthy.
 */
export async function startFakeEngine(registry: Registry, dir: string, host = 'h') {
  const socket = join(dir, `${host}.sock`);
  const session: Session = registry.openSession({ ttlMs: 30_000, mayReplace: () => true, onEvent: () => undefined });
  const containers = new Map<string, FakeContainer>();
  const calls: string[] = [];
  const held: (() => void)[] = [];
  let forbidden: readonly string[] = [];
  let isAway = false;
  let unanswered = 0;

  const find = (text: string) => [...containers.values()].find(({ id, name }) => name === text || id === text);
  const start = async (name: string, sick = false): Promise<void> => {
    const app = await startApp(name, (request, response) => {
      if (request.url === '/slow') held.push(() => response.end(name));
      else response.end(name);
    });
    const id = Buffer.from(`${host}-${name}`).toString('hex').padEnd(64, '0');
    const container: FakeContainer = { id, name, app, key: `instances/web/${host}-${name}`, state: 'running' };
    containers.set(id, container);
    if (sick) return;
    const instance = { address: '127.0.0.1', port: app.port, meta: { [containerMeta]: markOf(id) } };
    await session.put(container.key, JSON.stringify(instance));
  };
  const stop = async (container: FakeContainer): Promise<void> => {
    calls.push(`stop ${container.name}`);
    container.state = 'exited';
    await container.app.close();
    await session.remove(container.key);
  };
  const described = ({ id, name, state }: FakeContainer) => ({
    ...{ Id: id, Names: [`/${name}`], Name: `/${name}`, Labels: { 'pointsman.service': 'web' } },
    ...{ State: state, Config: { Labels: { 'pointsman.service': 'web' } } },
  });
  const inspected = (container: FakeContainer) => ({
    ...described(container),
    State: { Status: container.state, Running: container.state === 'running', Health: { Status: 'starting' } },
  });

  const answer = async (method: string, url: URL): Promise<{ readonly status: number; readonly body?: unknown }> => {
    if (isAway) {
      unanswered += 1;
      return { status: 503 };
    }
    const [, area, id = '', what] = url.pathname.split('/');
    if (forbidden.includes(`${method} ${what ?? ''}`.trim())) return { status: 403, body: { message: 'not allowed' } };
    if (area === 'test') {
      await start(url.searchParams.get('name') ?? '', url.searchParams.has('sick'));
      return { status: 200 };
    }
    if (method === 'GET' && id === 'json') return { status: 200, body: [...containers.values()].map(described) };
    const container = find(decodeURIComponent(id));
    if (container === undefined) return { status: 404, body: { message: `No such container: ${id}` } };
    if (method === 'GET') return { status: 200, body: inspected(container) };
    if (what === 'stop' && container.state === 'exited') return { status: 304 };
    if (what === 'stop') await stop(container);
    if (method === 'DELETE') {
      calls.push(`remove ${container.name}`);
      containers.delete(container.id);
    }
    return { status: 204 };
  };

  const server: Server = createServer((request, response) => {
    answer(request.method ?? 'GET', new URL(request.url ?? '', 'http://docker')).then(
      ({ status, body }) => response.writeHead(status).end(body === undefined ? '' : JSON.stringify(body)),
      (error: unknown) => response.writeHead(500).end(JSON.stringify({ message: String(error) })),
    );
  });
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(async () => {
    await close();
    await Promise.all(
      [...containers.values()].filter(({ state }) => state === 'running').map(({ app }) => app.close()),
    );
    await session.close();
  });
  return {
    address: `unix://${socket}`,
    /** What the engine was asked to do, in order. */
    calls,
    start,
    /** The socket goes away; the containers run on. */
    close,
    /** Whether a proxy in front of the engine answers that the engine does not. */
    setAway: (away: boolean) => {
      isAway = away;
    },
    /** How many requests the proxy has answered instead of the engine. */
    unanswered: () => unanswered,
    /** Refuses these requests, as a socket proxy does: `POST stop`. */
    forbid: (...requests: readonly string[]) => {
      forbidden = requests;
    },
    /** How many requests for `/slow` wait for `answerSlow`. */
    slow: () => held.length,
    answerSlow: () => {
      for (const end of held.splice(0)) end();
    },
    /** The containers that run. */
    running: () => [...containers.values()].filter(({ state }) => state === 'running').map(({ name }) => name).sort(), // biome-ignore format: one line
  };
}

/** A command line for `rollout` that starts containers at the engine of $DOCKER_HOST. */
export const startingCommand = (...names: readonly string[]): readonly string[] => {
  const code = `const { request } = require('node:http');
    const socketPath = process.env.DOCKER_HOST.slice('unix://'.length);
    for (const name of process.argv.slice(1)) request({ socketPath, method: 'POST', path: '/test/start?name=' + name }, (answer) => answer.resume()).end();`;
  return [process.execPath, '-e', code, ...names];
};
