import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { startLoad } from '../bench/load.ts';
import { describeMachine } from '../bench/machine.ts';
import { row } from '../bench/quantiles.ts';
import { readProcesses, reloadMaster } from '../src/haproxy/master.ts';
import { signal } from '../src/haproxy/process-signal.ts';
import { parseServersState } from '../src/haproxy/running-state.ts';
import { connectRuntime } from '../src/haproxy/runtime-connection.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask } from './support/app.ts';
import { startEtcd } from './support/etcd.ts';
import { freePorts } from './support/ports.ts';
import { type PointsmanProcess, startPointsman } from './support/processes.ts';
import { randomFrom } from './support/random.ts';
import { until } from './support/until.ts';

const seconds = Number(process.env['SOAK_S'] ?? (process.env['CI'] === undefined ? 30 : 120));
const services = 10;
const instances = 1000;
const leastFaultMs = 1000;
/** The file that a run's figures are written to; `npm run soak` names the one that is committed. */
const report = process.env['SOAK_REPORT'];

/** A fault that is over when this resolves. `cut`: requests may fail meanwhile. */
type Fault = { readonly name: string; readonly cut: boolean; readonly act: () => Promise<void> };

test(`${instances} instances that churn, and faults of every kind, lose no request in ${seconds} s`, {
  timeout: (seconds + 180) * 1000,
}, async () => {
  const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`SOAK_SEED=${seed}\n`);
  const random = randomFrom(seed);
  const below = (n: number) => Math.floor(random() * n);

  const app = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => app.listen(0, '0.0.0.0', resolve));
  const appPort = (app.address() as AddressInfo).port;
  const etcd = await startEtcd(3);
  const dir = await tinyDisk();
  const [http = 0, admin = 0] = await freePorts(2);
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
  onTestFinished(async () => {
    await registry.close();
    const left = await readProcesses(join(dir.path, 'run/master.sock'), 2000);
    if (left?.masterPid !== undefined) signal(left.masterPid, 'SIGKILL');
    if (left?.workerPid !== undefined) signal(left.workerPid, 'SIGKILL');
    await etcd.close();
    await dir.remove();
    await new Promise((resolve) => {
      app.close(resolve);
      app.closeAllConnections();
    });
  });

  const keyOf = (i: number) => `instances/s${i % services}/i${i}`;
  const registrationOf = (i: number, more: object = {}) =>
    JSON.stringify({ address: `127.${1 + Math.floor(i / 250)}.0.${1 + (i % 250)}`, port: appPort, ...more });
  for (let s = 0; s < services; s += 1)
    await registry.write(`services/s${s}`, JSON.stringify({ balance: 'roundrobin' }));
  await Promise.all(Array.from({ length: instances }, (_, i) => registry.write(keyOf(i), registrationOf(i))));

  const start = (): PointsmanProcess =>
    startPointsman([
      'balance',
      '--registry',
      etcd.location,
      '--dir',
      dir.path,
      '--id',
      'soak',
      '--http',
      `127.0.0.1:${http}`,
      '--admin',
      `127.0.0.1:${admin}`,
      '--reload-interval',
      '200ms',
    ]);
  let pointsman = start();
  await serving(pointsman);
  const answers = async () => (await ask(http, 's0')).status === 200;
  await until('requests are answered', answers, { deadlineMs: 30_000 });

  const failures: { readonly at: number; readonly reason: string }[] = [];
  const loads = Array.from({ length: 4 }, (_, i) =>
    startLoad(http, `s${i}`, 1, (reason) => failures.push({ at: performance.now(), reason })),
  );
  onTestFailed(() => void process.stderr.write(`${JSON.stringify(failures.slice(0, 20))}\n`));

  const ends = performance.now() + seconds * 1000;
  let changes = 0;
  const churn = async () => {
    while (performance.now() < ends) {
      const i = below(instances);
      const signalled = { signal: AbortSignal.timeout(20_000) };
      const what = random();
      // A write that fails may have been done all the same; what stands in the end is asked from etcd.
      const done = await (what < 0.4
        ? registry.write(keyOf(i), registrationOf(i, { weight: 1 + below(256) }), signalled)
        : what < 0.6
          ? registry.write(keyOf(i), registrationOf(i, { state: 'draining' }), signalled)
          : what < 0.75
            ? registry.remove(keyOf(i), signalled.signal)
            : registry.write(keyOf(i), registrationOf(i), signalled)
      ).then(
        () => 1,
        () => 0,
      );
      changes += done;
    }
  };

  const masterSocket = join(dir.path, 'run/master.sock');
  const member = () => etcd.members[below(etcd.members.length)] ?? fail('no member');
  const faults: readonly Fault[] = [
    {
      name: 'etcd member hangs',
      cut: false,
      act: async () => {
        const one = member();
        one.signal('SIGSTOP');
        await pause(500 + below(2500));
        one.signal('SIGCONT');
      },
    },
    {
      name: 'etcd member dies',
      cut: false,
      act: async () => {
        const one = member();
        await one.stop();
        await pause(below(1500));
        one.start();
        await etcd.healthy();
      },
    },
    {
      name: 'pointsman is killed',
      cut: false,
      act: async () => {
        pointsman.kill('SIGKILL');
        await pointsman.ended;
        await pause(below(1000));
        pointsman = start();
        await serving(pointsman);
      },
    },
    {
      name: 'somebody else reloads',
      cut: false,
      act: async () => void (await reloadMaster(masterSocket, 10_000).catch(() => undefined)),
    },
    {
      name: 'a policy changes',
      cut: false,
      act: async () => {
        const text = JSON.stringify({ balance: random() < 0.5 ? 'roundrobin' : 'leastconn' });
        await registry.write(`services/s${below(services)}`, text).catch(() => undefined);
      },
    },
    { name: 'the disk is full', cut: false, act: () => dir.full(500 + below(2000)) },
    {
      name: 'the worker is killed',
      cut: true,
      act: async () => {
        const { workerPid } = (await readProcesses(masterSocket, 2000)) ?? {};
        if (workerPid !== undefined) signal(workerPid, 'SIGKILL');
      },
    },
    {
      name: 'the master is killed',
      cut: true,
      act: async () => {
        const { masterPid } = (await readProcesses(masterSocket, 2000)) ?? {};
        if (masterPid !== undefined) signal(masterPid, 'SIGKILL');
      },
    },
    {
      name: 'both are killed',
      cut: true,
      act: async () => {
        const { masterPid, workerPid } = (await readProcesses(masterSocket, 2000)) ?? {};
        for (const pid of [masterPid, workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
      },
    },
  ];
  const counts = new Map(faults.map(({ name }) => [name, 0]));
  const costs = [await costOf(pointsman)];
  const cuts: { readonly from: number; readonly to: number }[] = [];
  const disturb = async () => {
    // Each of them once before any comes again.
    let left: Fault[] = [];
    while (performance.now() < ends) {
      await pause(leastFaultMs + below(2000));
      costs.push(await costOf(pointsman));
      if (left.length === 0) left = [...faults];
      const fault = left.splice(below(left.length), 1)[0] ?? fail('no fault');
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
      const from = performance.now() - 50;
      await fault.act();
      if (!fault.cut) continue;
      await pause(200);
      await until('requests are answered again', answers, { deadlineMs: 30_000, everyMs: 20 });
      cuts.push({ from, to: performance.now() + 200 });
    }
  };
  await Promise.all([churn(), churn(), disturb()]);

  const results = await Promise.all(loads.map((load) => load.stop()));
  const answered = results.reduce((sum, one) => sum + one.answered, 0);
  const unexpected = failures.filter(({ at }) => !cuts.some(({ from, to }) => at >= from && at <= to));

  await etcd.healthy();
  const wanted = (await registry.read('instances/')).entries.map(({ key }) => key.slice('instances/'.length)).sort();
  const inFile = async () => [
    ...(await readFile(join(dir.path, 'haproxy.cfg'), 'utf8')).matchAll(/^backend (\S+)|^ {4}server (\S+)/gm),
  ];
  await until(
    'HAProxy has what etcd has',
    async () => {
      const path = join(dir.path, 'run/haproxy.sock');
      const connection = await connectRuntime({ path, greetingMs: 1000, answerMs: 5000, onLost: () => undefined });
      const [state = ''] = await connection.run(['show servers state']).finally(() => connection.close());
      const has = [...parseServersState(state)].flatMap(([backend, servers]) =>
        [...servers.keys()].map((id) => `${backend}/${id}`),
      );
      return has.sort().join() === wanted.join();
    },
    { deadlineMs: 60_000, everyMs: 200 },
  );
  await until('so has the file', async () => {
    let backend = '';
    const has: string[] = [];
    for (const [, name, server] of await inFile()) {
      if (name !== undefined) backend = name;
      else has.push(`${backend}/${server}`);
    }
    return has.sort().join() === wanted.join();
  });
  const last = await costOf(pointsman);
  const [first = last] = costs;
  const most = {
    memoryMb: Math.max(...costs.map(({ memoryMb }) => memoryMb)),
    descriptors: Math.max(...costs.map(({ descriptors }) => descriptors)),
  };
  const text = `# Soak

${await describeMachine('haproxy')}.

${seconds} s with three etcd, ${instances} instances in ${services} services that churn, requests all the time, a fault every one to three
seconds (\`SOAK_SEED=${seed}\`). At the end etcd, the file and HAProxy have the same servers. pointsman is what runs at that moment:
it is killed, too.

${row('changes', 'answered', 'failed outside deliberate cuts', `failed in ${cuts.length} cuts of HAProxy`)}
${row('---', '---', '---', '---')}
${row(changes, answered, unexpected.length, failures.length - unexpected.length)}

${row('fault', 'times')}
${row('---', '---')}
${[...counts].map(([name, count]) => row(name, count)).join('\n')}

${row('pointsman', 'first', 'most', 'last')}
${row('---', '---', '---', '---')}
${row('RSS MB', ...[first, most, last].map(({ memoryMb }) => memoryMb.toFixed(0)))}
${row('descriptors', ...[first, most, last].map(({ descriptors }) => descriptors))}
`;
  process.stderr.write(text);
  expect(unexpected.slice(0, 5)).toEqual([]);
  expect(answered).toBeGreaterThan(1000);
  expect(most.memoryMb).toBeLessThan(200);
  expect(most.descriptors).toBeLessThan(100);
  if (report !== undefined) await writeFile(report, text);
});

async function costOf(pointsman: PointsmanProcess) {
  const pid = await nodePid(pointsman.pid);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return {
    memoryMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
  };
}

/** The process itself, where the one that was started only looks after it. */
async function nodePid(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const command = await readFile(`/proc/${pid}/comm`, 'utf8');
  const first = Number(children.trim().split(' ')[0]);
  return command.startsWith('node') || first === 0 ? pid : first;
}

/** It serves; a machine that does all this at once may take its time. */
function serving(pointsman: PointsmanProcess): Promise<unknown> {
  return until('it serves', () => pointsman.log.some(({ event }) => event === 'serving'), { deadlineMs: 60_000 });
}

/** A disk of its own for the balancer, small enough to be filled. */
async function tinyDisk() {
  const path = await mkdtemp(join(tmpdir(), 'pm-soak-'));
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path]);
  return {
    path,
    async full(ms: number): Promise<void> {
      const filler = join(path, 'filler');
      await writeFile(filler, Buffer.alloc(32 * 1024 * 1024)).catch(() => undefined);
      await pause(ms);
      await rm(filler, { force: true });
    },
    async remove(): Promise<void> {
      await execa('umount', ['-l', path]);
      await rm(path, { recursive: true, force: true });
    },
  };
}

function fail(what: string): never {
  throw new Error(what);
}
