// The cost of each fault of etcd, of a process or of a link: requests that fail, and the time until everybody is back.
//
//   node scripts/bench.mjs recovery > bench/results/recovery.md
//   HAPROXY_BIN names another HAProxy
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { startTcpProxy } from '../test/support/tcp-proxy.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { row } from './quantiles.ts';
import { startSteadyLoad } from './steady-load.ts';
import { haproxyBin, root } from './ways.ts';

const executable = join(process.cwd(), 'bin/pointsman');
const ttlMs = 5000;
/** Each is a process of its own. */
const ids = ['a', 'b', 'c', 'd'] as const;
const waiting = { deadlineMs: 90_000, everyMs: 5 };

/** A pointsman whose log is read. */
function start(args: readonly string[]) {
  const child = spawn(executable, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, POINTSMAN_LOG_FORMAT: 'json' },
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise((done) => child.once('close', done));
  return {
    says: (event: string) => until(`it says ${event}`, () => log.includes(`"event":"${event}"`), waiting),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
      child.kill(signal);
      await ended;
    },
  };
}

type Pointsman = ReturnType<typeof start>;

/** etcd, a balancer, a service with a policy and one process for each id, which are asked all the time. */
async function startWorld() {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  const [http = 0, admin = 0] = await freePorts(2);
  const app = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => app.listen(0, '0.0.0.0', resolve));
  const { port } = app.address() as AddressInfo;
  const running: Pointsman[] = [];
  const run = (...args: readonly string[]): Pointsman => {
    const one = start(args);
    running.push(one);
    return one;
  };
  const register = async (id: string, host: number): Promise<Pointsman> => {
    const what = ['--service', 'web', '--id', id, '--address', `127.0.1.${host}:${port}`, '--ttl', `${ttlMs}ms`];
    const one = run('register', '--registry', etcd.location, '--root', root, ...what);
    await one.says('announced');
    return one;
  };
  const registerAll = () => Promise.all(ids.map((id, i) => register(id, i + 1)));
  /** The owner's mark of each registered instance, by id. */
  const owners = async (): Promise<ReadonlyMap<string, string>> => {
    const { entries } = await registry.read('instances/web/', AbortSignal.timeout(2000));
    return new Map(
      entries.map(({ key, value }) => [
        key.slice('instances/web/'.length),
        (JSON.parse(value) as { owner: string }).owner,
      ]),
    );
  };
  await registry.write('services/web', '{"hosts":["shop.example"],"balance":"roundrobin"}');
  const balancer = run(
    ...['balance', '--registry', etcd.location, '--root', root, '--dir', join(dir, 'b'), '--id', 'bench'],
    ...['--haproxy', haproxyBin, '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`],
  );
  await balancer.says('serving');
  return {
    etcd,
    registry,
    register,
    registerAll,
    owners,
    balancer,
    /** Waits until these owners are registered, and gives the ms since `since`. */
    async backSince(since: number, wanted: ReadonlyMap<string, string>): Promise<number> {
      const same = async () => {
        const now = await owners().catch(() => new Map<string, string>());
        return [...wanted].every(([id, owner]) => now.get(id) === owner);
      };
      await until('all are registered', same, waiting);
      return performance.now() - since;
    },
    load: () => startSteadyLoad({ ports: [http], host: 'shop.example', keepAlive: 4, fresh: 4, slow: 0, everyMs: 2 }),
    async close(): Promise<void> {
      for (const one of [...running].reverse()) {
        one.kill('SIGCONT');
        await one.end();
      }
      app.close();
      app.closeAllConnections();
      await registry.close();
      await etcd.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

type World = Awaited<ReturnType<typeof startWorld>>;
type Outcome = { readonly backMs: number; readonly from: string };

/** Measures what a fault costs while requests are made. `act` does it and resolves when all are back. */
async function underLoad(
  fault: string,
  before: string,
  prepare: (world: World) => Promise<() => Promise<Outcome>>,
): Promise<void> {
  const world = await startWorld();
  const act = await prepare(world);
  const load = world.load();
  await pause(1000);
  const { backMs, from } = await act();
  await pause(2000);
  const { answered, failed } = await load.stop();
  console.log(row(fault, answered, failed, `${(backMs / 1000).toFixed(2)} s after ${from}`, before));
  await world.close();
}

console.log('# Recovery\n');
console.log(
  `${await describeMachine(haproxyBin)}, load average ${loadavg()[0]?.toFixed(1)} on ${cpus().length} cores.\n`,
);
console.log(
  `One run of each. ${ids.length} processes register an instance each with a TTL of ${ttlMs / 1000} s; 8 clients ask the host of the service's policy all\nthe time. "Before" is what was measured on commit 6c4e8ee.\n`,
);
console.log(row('fault', 'answered', 'failed', 'all are registered', 'before'));
console.log(row('---', '---', '---', '---', '---'));

await underLoad('etcd wiped and started empty', 'the policy gone after 0.5 s: 404 for its host', async (world) => {
  await world.registerAll();
  const wanted = await world.owners();
  return async () => {
    await world.etcd.wipe();
    return { backMs: await world.backSince(performance.now(), wanted), from: 'etcd serves' };
  };
});

await underLoad('etcd restored from a snapshot of before a deployment with the same ids', '4 of 4 unregistered for good', async (world) => {
    const former = await world.registerAll();
    const snapshot = await world.etcd.snapshot();
    await Promise.all(former.map((one) => one.end()));
    await world.registerAll();
    const wanted = await world.owners();
    return async () => {
      await world.etcd.restore(snapshot);
      return { backMs: await world.backSince(performance.now(), wanted), from: 'etcd serves' };
    };
  }); // biome-ignore format: a case

await underLoad('`etcdctl del --prefix /pointsman/`', 'not measured', async (world) => {
  await world.registerAll();
  const wanted = await world.owners();
  return async () => {
    await world.etcd.ctl('del', '--prefix', root);
    return { backMs: await world.backSince(performance.now(), wanted), from: 'the deletion' };
  };
});

await underLoad(
  'a process stopped beyond its TTL, while another one took its id and left again',
  'still unregistered after 75 s',
  async (world) => {
    const [first] = await world.registerAll();
    const wanted = await world.owners();
    return async () => {
      first?.kill('SIGSTOP');
      await until('its lease has ended', async () => !(await world.owners()).has('a'), waiting);
      const other = await world.register('a', 200);
      await other.end();
      first?.kill('SIGCONT');
      return { backMs: await world.backSince(performance.now(), wanted), from: 'SIGCONT' };
    };
  },
);

/** Through a link with this round trip: how long an announcement takes, and the leases that it leaves. */
async function slowLink(roundTripMs: number): Promise<void> {
  const etcd = await startEtcd();
  const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
  proxy.delay(roundTripMs / 2);
  const began = performance.now();
  const what = ['--service', 'web', '--id', 'a', '--address', '127.0.0.1:1', '--check', 'none', '--ttl', `${ttlMs}ms`];
  const one = start(['register', '--registry', `etcd://${proxy.endpoint}`, '--root', root, ...what]);
  await one.says('announced');
  const tookMs = performance.now() - began;
  const leases = (await etcd.ctl('lease', 'list')).split('\n').slice(1).filter(Boolean).length;
  console.log(
    `\nA link with a round trip of ${roundTripMs / 1000} s, TTL ${ttlMs / 1000} s: announced after ${(tookMs / 1000).toFixed(1)} s, ${leases - 1} leases left behind. Before: never in 25 s, one lease left behind by each\nattempt.`,
  );
  await one.end();
  await proxy.close();
  await etcd.close();
}

/** A file whose check hangs, and its neighbour. */
async function hangingCheck(): Promise<void> {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  await writeFile(join(dir, 'x.mustache'), '{{keys.x}}');
  await writeFile(
    join(dir, 'p.yaml'),
    `templates:\n- {src: x.mustache, dest: hangs, check: [sh, -c, 'sleep 100', '{{staged}}']}\n- {src: x.mustache, dest: neighbour}\n`,
  );
  await registry.write('keys/x', 'one');
  const began = performance.now();
  const one = start(['files', '--registry', etcd.location, '--root', root, '--config', join(dir, 'p.yaml')]);
  const becomes = (text: string) =>
    until(
      `it is ${text}`,
      async () => (await readFile(join(dir, 'neighbour'), 'utf8').catch(() => '')) === text,
      waiting,
    );
  await becomes('one');
  const firstMs = performance.now() - began;
  await pause(1000);
  await registry.write('keys/x', 'two');
  const changed = performance.now();
  await becomes('two');
  const changeMs = performance.now() - changed;
  console.log(
    `\nA file whose check hangs (\`sleep 100\`): its neighbour is made ${(firstMs / 1000).toFixed(1)} s after the start of \`files\`, and a later change is in it after\n${changeMs.toFixed(0)} ms. Before: after 30 s, and the change was missing after 45 s.`,
  );
  await one.end('SIGKILL');
  await registry.close();
  await etcd.close();
  await rm(dir, { recursive: true, force: true });
}

await slowLink(1100);
await hangingCheck();
