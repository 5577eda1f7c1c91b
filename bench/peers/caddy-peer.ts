import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ask } from '../../test/support/ask.ts';
import { freePorts } from '../../test/support/ports.ts';
import { until } from '../../test/support/until.ts';
import { type Fleet, type Peer, start, versionOf } from './peer.ts';

const upstream = (service: string, id: string, dial: string) => ({ '@id': `${service}-${id}`, dial });

const route = (service: string, instances: ReadonlyMap<string, string>) => ({
  match: [{ host: [service] }],
  handle: [
    {
      '@id': service,
      handler: 'reverse_proxy',
      load_balancing: { selection_policy: { policy: 'round_robin' } },
      upstreams: [...instances].map(([id, address]) => upstream(service, id, address)),
    },
  ],
  terminal: true,
});

/** Caddy with its admin API: a POST adds an upstream, a DELETE removes one, each answered when the new configuration serves. */
export async function startCaddyPeer(dir: string, fleet: Fleet): Promise<Peer> {
  const [port = 0, admin = 0] = await freePorts(2);
  const config = {
    admin: { listen: `127.0.0.1:${admin}`, config: { persist: false } },
    logging: { logs: { default: { level: 'ERROR' } } },
    apps: {
      http: {
        servers: {
          main: {
            listen: [`127.0.0.1:${port}`],
            automatic_https: { disable: true },
            routes: [...fleet].map(([service, instances]) => route(service, instances)),
          },
        },
      },
    },
  };
  const file = join(dir, 'caddy.json');
  await writeFile(file, JSON.stringify(config));
  const home = { HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir };
  const caddy = start('caddy', ['run', '--config', file], home);
  await until('Caddy answers', async () => (await ask(port, 'early')).status === 200, { deadlineMs: 60_000 });
  const call = async (method: string, path: string, body?: object) => {
    const answer = await send(method, `http://127.0.0.1:${admin}/id/${path}`, body);
    if (answer.status !== 200) throw new Error(`Caddy refuses ${method} ${path}: ${answer.text}`);
  };
  return {
    name: 'Caddy, admin API',
    what: `Caddy ${versionOf('caddy', 'version')}`,
    port,
    absent: 503,
    add: (service, id, address) => call('POST', `${service}/upstreams`, upstream(service, id, address)),
    remove: (service, id) => call('DELETE', `${service}-${id}`),
    proxies: async () => [caddy.child.pid ?? 0],
    controllers: [],
    close: caddy.end,
  };
}

/** On a connection of its own: Caddy closes those of its admin API at each change, also while the next request is on its way. */
async function send(method: string, url: string, body?: object): Promise<{ status: number | undefined; text: string }> {
  const asked = request(url, { method, agent: false, headers: { 'content-type': 'application/json' } });
  asked.end(body === undefined ? undefined : JSON.stringify(body));
  const [response]: IncomingMessage[] = await once(asked, 'response', { signal: AbortSignal.timeout(30_000) });
  if (response === undefined) throw new Error(`${method} ${url} has no answer`);
  return { status: response.statusCode, text: await text(response) };
}
