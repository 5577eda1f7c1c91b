import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readVersion } from '../../src/haproxy/check.ts';
import { readProcesses } from '../../src/haproxy/master.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { ask } from '../../test/support/ask.ts';
import type { EtcdCluster } from '../../test/support/etcd.ts';
import { freePort } from '../../test/support/ports.ts';
import { until } from '../../test/support/until.ts';
import { haproxyBin, root, startPointsman } from '../ways.ts';
import { descendants, type Fleet, type Peer, start, versionOf } from './peer.ts';

export type Ground = {
  readonly etcd: EtcdCluster;
  readonly registry: Registry;
  readonly dir: string;
  readonly fleet: Fleet;
};

/** Both read the same keys; a put or a deletion that etcd acknowledged is an accepted change. */
const byKeys = ({ registry }: Ground): Pick<Peer, 'absent' | 'add' | 'remove'> => ({
  absent: 503,
  async add(service, id, address) {
    await registry.write(`instances/${service}/${id}`, address);
  },
  async remove(service, id) {
    await registry.remove(`instances/${service}/${id}`);
  },
});

export async function startPointsmanPeer(ground: Ground, haproxy: string): Promise<Peer> {
  const way = await startPointsman(ground.etcd, ground.dir, 'bench', haproxy);
  const pid = way.pid ?? 0;
  const version = `${await readVersion(haproxy)}`;
  return {
    ...byKeys(ground),
    name: `pointsman, HAProxy ${version.split('.').slice(0, 2).join('.')}`,
    what: `this commit, HAProxy ${version}`,
    port: way.port,
    proxies: () => descendants(pid),
    controllers: [pid],
    close: way.close,
  };
}

// A server line for each key, a backend for each folder: what confd's users write.
const template = (port: number, socket: string) => `global
    stats socket ${socket} mode 600 level admin expose-fd listeners
    hard-stop-after 30s
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option idle-close-on-response
    option redispatch
frontend f
    bind 127.0.0.1:${port}
    use_backend %[req.hdr(host),field(1,:),lower]
{{range $service := lsdir "/instances"}}
backend {{$service}}
    balance roundrobin
{{range gets (printf "/instances/%s/*" $service)}}    server {{base .Key}} {{.Value}}
{{end}}{{end}}
`;

export const confdBin = process.env['CONFD_BIN'] ?? 'confd';

/** confd follows etcd, writes the file, has HAProxy check it, and reloads HAProxy. */
export async function startConfdPeer(ground: Ground): Promise<Peer> {
  const port = await freePort();
  const dir = join(ground.dir, 'confd');
  const [config, pidFile, master] = [join(dir, 'haproxy.cfg'), join(dir, 'pid'), join(dir, 'master.sock')];
  await mkdir(join(dir, 'conf.d'), { recursive: true });
  await mkdir(join(dir, 'templates'));
  await writeFile(join(dir, 'templates/haproxy.tmpl'), template(port, join(dir, 'haproxy.sock')));
  const resource = (reload: string) => `[template]
src = "haproxy.tmpl"
dest = "${config}"
prefix = "${root.slice(0, -1)}"
keys = ["/instances"]
check_cmd = "${haproxyBin} -c -q -f {{.src}}"
reload_cmd = "${reload}"
`;
  const confd = (...args: readonly string[]) =>
    start(confdBin, ['-confdir', dir, '-backend', 'etcdv3', '-log-level', 'error', ...args,
      ...ground.etcd.endpoints.flatMap((endpoint) => ['-node', `http://${endpoint}`])]); // biome-ignore format: a command line
  await writeFile(join(dir, 'conf.d/haproxy.toml'), resource('true'));
  const first = confd('-onetime');
  await new Promise((resolve) => first.child.once('close', resolve));
  const haproxy = start(haproxyBin, ['-W', '-S', master, '-p', pidFile, '-f', config]);
  await until('HAProxy serves', async () => (await readProcesses(master, 1000))?.workerPid !== undefined);
  await writeFile(join(dir, 'conf.d/haproxy.toml'), resource(`kill -USR2 ${haproxy.child.pid}`));
  const watching = confd('-watch');
  const pid = haproxy.child.pid ?? 0;
  const keys = byKeys(ground);
  await keys.add('probe', 'probe', [...(ground.fleet.get('early') ?? [])][0]?.[1] ?? '');
  await until('confd follows', async () => (await ask(port, 'probe')).status === 200, { deadlineMs: 60_000 });
  await keys.remove('probe', 'probe');
  await until('confd follows', async () => (await ask(port, 'probe')).status === 503, { deadlineMs: 60_000 });
  return {
    ...keys,
    // With -watch, confd sometimes did not have all of 20 instances after 60 s.
    nudge: () => keys.add('probe', 'probe', '127.0.0.1:1'),
    name: 'confd, reload',
    what: `confd ${versionOf(confdBin, '-version')} with -watch, HAProxy ${await readVersion(haproxyBin)}`,
    port,
    proxies: async () => [pid, ...(await descendants(pid))],
    controllers: [watching.child.pid ?? 0],
    async close() {
      await watching.end();
      await haproxy.end();
    },
  };
}
