import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask } from '../../test/support/ask.ts';
import { freePort } from '../../test/support/ports.ts';
import { until } from '../../test/support/until.ts';
import { descendants, type Fleet, type Peer, run, start, versionOf } from './peer.ts';

/** An upstream needs a server; one that is down answers 502. */
const site = (port: number, service: string, addresses: readonly string[]) => `
    upstream ${service} {
        ${(addresses.length > 0 ? addresses : ['127.0.0.1:1 down']).map((address) => `server ${address};`).join(' ')}
        keepalive 32;
    }
    server {
        listen 127.0.0.1:${port};
        server_name ${service};
        location / { proxy_pass http://${service}; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }`;

function configuration(dir: string, port: number, fleet: Fleet): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${dir}/${of};`);
  return `daemon off;
worker_processes auto;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log;
events { worker_connections 4096; }
http {
    access_log off;
    server_names_hash_max_size 4096;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    ${temporary.join('\n    ')}${[...fleet].map(([service, instances]) => site(port, service, [...instances.values()])).join('')}
}
`;
}

/** nginx. Each change writes the whole configuration, checks it and reloads nginx, as a script would. */
export async function startNginxPeer(dir: string, fleet: Fleet): Promise<Peer> {
  const port = await freePort();
  const config = join(dir, 'nginx.conf');
  const services = new Map([...fleet].map(([service, instances]) => [service, new Map(instances)]));
  const write = async () => {
    await writeFile(`${config}.new`, configuration(dir, port, services));
    await rename(`${config}.new`, config);
  };
  await write();
  const nginx = start('nginx', ['-e', join(dir, 'error.log'), '-c', config]);
  await until('nginx answers', async () => (await ask(port, 'early')).status === 200, { deadlineMs: 60_000 });
  const apply = async () => {
    await write();
    await run('nginx', ['-e', join(dir, 'error.log'), '-q', '-t', '-c', config]);
    await run('nginx', ['-e', join(dir, 'error.log'), '-s', 'reload', '-c', config]);
  };
  const instancesOf = (service: string) => services.get(service) ?? new Map<string, string>();
  const pid = nginx.child.pid ?? 0;
  return {
    name: 'nginx, reload',
    what: `nginx ${versionOf('nginx', '-v')}`,
    port,
    absent: 502,
    async add(service, id, address) {
      instancesOf(service).set(id, address);
      await apply();
    },
    async remove(service, id) {
      instancesOf(service).delete(id);
      await apply();
    },
    proxies: async () => [pid, ...(await descendants(pid))],
    controllers: [],
    close: nginx.end,
  };
}
