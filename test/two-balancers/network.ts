import { spawn, spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { signal } from '../../src/haproxy/processes.ts';
import { until } from '../support/until.ts';

const repository = join(import.meta.dirname, '../..');
const shipped = join(repository, 'docker/two-balancers');

/** The address that clients ask. */
const address = '10.78.0.100';

const patience = { deadlineMs: 60_000, everyMs: 100 };

/** What this machine lacks for networks with keepalived; undefined when it has all, and then whatever fails is a failure. */
export function whyNoNetworks(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root';
  const has = (one: string) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${one}`]).status === 0;
  const missing = ['ip', 'ss', 'nft', 'curl', 'keepalived', 'etcd'].filter((one) => !has(one));
  if (missing.length > 0) return `there is no ${missing.join(', ')}`;
  const made = spawnSync('unshare', ['-n', 'nft', 'add table inet t'], { encoding: 'utf8' });
  return made.status === 0 ? undefined : `the kernel has no nftables in namespaces: ${made.stderr.trim()}`;
}

type Host = 'client' | 'apps' | 'lb1' | 'lb2';
const addresses: Readonly<Record<Host, string>> = {
  client: '10.78.0.10',
  apps: '10.78.0.11',
  lb1: '10.78.0.12',
  lb2: '10.78.0.13',
};

export type Network = Awaited<ReturnType<typeof startNetwork>>;

/** A client, an etcd with two applications, and two balancers with keepalived, each a namespace on one switch. */
export async function startNetwork() {
  const prefix = `pm${process.pid}`;
  const dir = await mkdtemp(join(tmpdir(), 'pm-two-'));
  // keepalived runs no script that lies where others may write.
  const scripts = join('/run', prefix);
  const hosts = Object.keys(addresses) as Host[];
  const ip = (...args: readonly string[]) => execa('ip', args);
  const within = (host: Host, command: readonly string[]) => ['netns', 'exec', `${prefix}-${host}`, ...command];
  const outputs: string[] = [];
  const start = (host: Host, ...command: readonly string[]) => {
    const child = spawn('ip', within(host, command), { stdio: ['pipe', 'pipe', 'pipe'], cwd: dir });
    let output = '';
    child.stdout.on('data', (text) => {
      output += String(text);
    });
    child.stderr.on('data', (text) => outputs.push(`${host}: ${text}`));
    const ended = new Promise<string>((resolve) => child.once('close', () => resolve(output)));
    return { child, ended, output: () => output };
  };
  const run = async (host: Host, ...command: readonly string[]) => (await execa('ip', within(host, command))).stdout;
  const pids = async (host: Host) => (await ip('netns', 'pids', `${prefix}-${host}`)).stdout.split('\n').map(Number);

  const network = {
    run,
    /** What the processes wrote, for a test that failed. */
    outputs,
    startBalancer: (host: 'lb1' | 'lb2') =>
      start(
        ...([host, join(repository, 'bin/pointsman'), 'balance', '--id', host, '--lame-duck', '5s'] as const),
        ...['--registry', `etcd://${addresses.apps}:2379`, '--dir', join(dir, host), '--http', '0.0.0.0:80'],
      ),
    startKeepalived: async (host: 'lb1' | 'lb2') => {
      const text = (await readFile(join(shipped, 'keepalived.conf'), 'utf8'))
        .replace('/usr/local/bin', scripts)
        .replace('priority 110', `priority ${host === 'lb1' ? 110 : 100}`);
      const file = join(dir, `${host}.conf`);
      await writeFile(file, text);
      const flags = ['--dont-fork', '--log-console', '--vrrp', '-f', file];
      start(host, 'keepalived', ...flags, '-p', join(dir, `${host}.pid`), '-r', join(dir, `${host}.vrrp`));
    },
    hasAddress: async (host: Host) => (await run(host, 'ip', '-o', 'addr', 'show', 'to', address)) !== '',
    answers: () =>
      until(
        'clients are answered',
        async () => {
          const ask = ['curl', '-s', '-m', '1', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: web'];
          return (await run('client', ...ask, `http://${address}/`).catch(() => '')) === '200';
        },
        patience,
      ),
    /** Requests until the answer is called, which tells what became of them. */
    startLoad: async () => {
      const { child, ended, output } = start('client', 'node', join(import.meta.dirname, 'load.mjs'), address, '80');
      await until('100 requests were made', () => output().includes('\n'), patience);
      return async () => {
        child.stdin.end();
        const text = await ended;
        return JSON.parse(text.slice(text.indexOf('{'))) as {
          requests: number;
          failed: number;
          failedForMs: number;
          reasons: string[];
        };
      };
    },
    /** The machine is gone at once: its network first, then all that runs on it. */
    async lose(host: Host): Promise<void> {
      await run(host, 'ip', 'link', 'set', 'eth0', 'down');
      for (const pid of await pids(host)) signal(pid, 'SIGKILL');
    },
    async close(): Promise<void> {
      for (const host of hosts) {
        for (const pid of await pids(host).catch(() => [])) if (pid > 0) signal(pid, 'SIGKILL');
      }
      for (const host of [...hosts, 'switch']) await ip('netns', 'del', `${prefix}-${host}`).catch(() => undefined);
      await rm(scripts, { recursive: true, force: true });
      await rm(dir, { recursive: true, force: true });
    },
  };

  try {
    await mkdir(scripts, { mode: 0o755 });
    await copyFile(join(shipped, 'pointsman-ready'), join(scripts, 'pointsman-ready'));
    await chmod(join(scripts, 'pointsman-ready'), 0o755);
    for (const host of [...hosts, 'switch']) {
      await ip('netns', 'add', `${prefix}-${host}`);
      await ip('-n', `${prefix}-${host}`, 'link', 'set', 'lo', 'up');
    }
    const middle = `${prefix}-switch`;
    await ip('-n', middle, 'link', 'add', 'br0', 'type', 'bridge');
    await ip('-n', middle, 'link', 'set', 'br0', 'up');
    for (const host of hosts) {
      const netns = `${prefix}-${host}`;
      await ip('link', 'add', 'eth0', 'netns', netns, 'type', 'veth', 'peer', 'name', host, 'netns', middle);
      await ip('-n', middle, 'link', 'set', host, 'master', 'br0', 'up');
      await ip('-n', netns, 'addr', 'add', `${addresses[host]}/24`, 'dev', 'eth0');
      await ip('-n', netns, 'link', 'set', 'eth0', 'up');
    }
    const client = `http://${addresses.apps}:2379`;
    const listens = ['--listen-client-urls', client, '--advertise-client-urls', client];
    start('apps', 'etcd', '--data-dir', join(dir, 'etcd'), ...listens, '--listen-peer-urls', 'http://127.0.0.1:2380');
    for (const n of ['1', '2']) {
      start('apps', 'env', `PORT=900${n}`, `VERSION=${n}`, 'node', join(repository, 'docker/example/server.mjs'));
      const put = ['put', `/pointsman/instances/web/web-${n}`, `${addresses.apps}:900${n}`];
      const etcdctl = ['etcdctl', '--endpoints', client, '--command-timeout=1s', ...put];
      await until('etcd takes keys', () => run('apps', ...etcdctl).catch(() => ''), patience);
    }
  } catch (error) {
    await network.close();
    throw error;
  }
  return network;
}
