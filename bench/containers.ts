// One agent a host for containers with labels: the time from the engine's word to the balancers, what the ways to stop a container lose,
// and the agent's memory. On two hosts with a Docker Engine and a balancer each, as test/containers/hosts.ts makes them (root).
//
//   node scripts/bench.mjs containers [rounds, 20] [containers, 200] [more containers, 500]
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Host, startHosts } from '../test/containers/hosts.ts';
import { patience } from '../test/containers/world.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';

const [rounds = 20, few = 200, many = 500] = process.argv.slice(2).map(Number);
/** How long a process is left alone before its memory is read. */
const settleMs = 5000;

const hosts = await startHosts();
const { one, two } = hosts;
const both = [one, two];
const web = { 'pointsman.service': 'web', 'pointsman.port': '8080' };
const instances = (count: number) =>
  until(`${count} instances`, async () => (await hosts.keys('instances/')).length === count, {
    deadlineMs: 300_000,
    everyMs: 50,
  });
const table = (...heads: readonly string[]) => console.log(`${row(...heads)}\n${row(...heads.map(() => '---'))}`);
const quantiles = (values: readonly number[]) => [0.5, 0.95, 1].map((q) => ms(quantile(values, q)));

/** The word that a line of the application's output begins with, and its number. */
async function printed(host: Host, container: string, word: string): Promise<number> {
  const line = await until(`${container} prints ${word}`, async () => {
    const logs = await host.engine.logs(container);
    return logs.split('\n').find((one) => one.startsWith(`${word} `));
  }, patience); // biome-ignore format: one wait
  return Number(line.split(' ')[1]);
}

/** The engine's `health_status: healthy` to the first request, with requests to both balancers without a pause. */
async function measureArrivals(): Promise<readonly number[]> {
  const times: number[] = [];
  const health = ['--health-cmd=test -e /tmp/ready', '--health-interval=200ms', '--health-retries=1'];
  for (let i = 0; i < rounds; i += 1) {
    const since = Math.floor(Date.now() / 1000) - 1;
    const name = `new-${i}`;
    await one.startApp(name, web, '--publish=8080', ...health);
    await printed(one, name, 'listening');
    await one.docker(['exec', name, 'touch', '/tmp/ready']);
    const first = await printed(one, name, 'first');
    const asked = ['--filter', 'event=health_status: healthy', '--filter', `container=${name}`];
    const event = await one.docker(['events', '--since', `${since}`, '--until', `${Math.ceil(Date.now() / 1000)}`, ...asked, '--format', '{{.TimeNano}}']); // biome-ignore format: one command
    times.push(first - Number(event.split('\n')[0]) / 1e6);
    await one.docker(['rm', '--force', name]);
  }
  return times;
}

/** SIGTERM of a plain `docker stop` to the last request that reached the application, which goes on for a second. */
async function measureDepartures(): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const name = `old-${i}`;
    await one.startApp(name, web, '--publish=8080', '--env=LINGER=1000');
    await printed(one, name, 'first');
    await one.docker(['stop', name]);
    times.push(await printed(one, name, 'last'));
    await one.docker(['rm', '--force', name]);
  }
  return times;
}

/** How many containers of a version answer. */
const answering = (load: ReturnType<typeof hosts.load>, version: number): number =>
  load.answers().filter((answer) => answer.endsWith(`version ${version}`)).length;

/** What a way to replace all of ten containers loses. */
async function measureReplacing(
  replace: (host: Host, file: string) => Promise<unknown>,
  { more = '', abrupt = false } = {},
) {
  const file = join(hosts.folder, 'compose.yaml');
  const labels = '{ pointsman.service: "", pointsman.port: "8080", pointsman.check: "http:///health" }';
  await writeFile(
    file,
    `name: shop
services:
  web:
    image: pointsman-base-node
    command: [node, /srv/app.mjs]
    environment: { VERSION: "\${VERSION}", ABRUPT: "${abrupt ? 'yes' : ''}" }
    ports: ["8080"]
    volumes: ["${hosts.folder}/app.mjs:/srv/app.mjs:ro"]
    labels: ${labels}
    deploy: { replicas: 5 }
    ${more}
`,
  );
  const first = (host: Host) => host.docker(['compose', '-f', file, 'up', '--detach'], { VERSION: '1' });
  await Promise.all(both.map(first));
  await instances(10);
  // Not counted: HAProxy may take long to give a server that came back its first request.
  const before = hosts.load();
  await until('all ten answer', () => answering(before, 1) === 10, patience);
  await before.end();
  const load = hosts.load();
  const began = performance.now();
  for (const host of both) {
    await replace(host, file);
    await instances(10);
  }
  const seconds = (performance.now() - began) / 1000;
  await until('the new ones answer', () => answering(load, 2) === 10, patience);
  const { requests, failed } = await load.end();
  await Promise.all(both.map((host) => host.removeContainers()));
  await instances(0);
  return [requests, failed, seconds.toFixed(1)];
}

async function measureMemory(counts: readonly number[]) {
  table('containers', 'RSS MB', 'all visible ms', 'processor');
  let present = 0;
  for (const count of counts) {
    while (present < count) {
      const next = Array.from({ length: Math.min(8, count - present) }, (_, i) => present + i);
      const labels = ['--label=pointsman.service=many', '--label=pointsman.port=8080', '--label=pointsman.network=bridge']; // biome-ignore format: one list
      await Promise.all(next.map((i) => two.docker(['run', '--detach', '--name', `many-${i}`, ...labels, 'pointsman-base-node', 'sleep', 'infinity']))); // biome-ignore format: one command
      present += next.length;
    }
    const started = performance.now();
    const agent = two.startAgent();
    await instances(count);
    const visible = performance.now() - started;
    await pause(settleMs);
    const [before, from] = [await two.cpu(agent), performance.now()];
    await pause(settleMs);
    const share = ((await two.cpu(agent)) - before) / ((performance.now() - from) / 1000);
    console.log(row(count, ms(await two.memory(agent)), ms(visible), `${(share * 100).toFixed(1)} %`));
    agent.kill('SIGKILL');
    await agent.ended;
    await instances(0);
  }
}

try {
  console.log(`# Containers with labels\n\n${await describeMachine('haproxy')}. Two hosts, each with Docker Engine ${await one.docker(['version', '--format', '{{.Server.Version}}'])}, a balancer and an agent. Times in ms.\n`); // biome-ignore format: one text
  const agents = both.map((host) => host.startAgent());
  // The service exists, so that no measurement waits for a reload of HAProxy.
  await two.startApp('base', web, '--publish=8080');
  const load = hosts.load();
  await load.sees('base version 1');
  table('from', 'to', 'p50', 'p95', 'most');
  console.log(row('the engine says that a container is healthy', 'its first request', ...quantiles(await measureArrivals()))); // biome-ignore format: one row
  console.log(row('SIGTERM of a plain `docker stop`', 'its last request', ...quantiles(await measureDepartures())));
  await load.end();
  await Promise.all(both.map((host) => host.removeContainers()));
  await instances(0);

  console.log(
    '\nTen containers of one service on both hosts are replaced, five a host, while four clients send requests.\n',
  );
  table('way', 'requests', 'failed', 'seconds');
  const up = (host: Host, file: string) => host.docker(['compose', '-f', file, 'up', '--detach'], { VERSION: '2' });
  const harmless = { more: 'stop_signal: SIGURG\n    stop_grace_period: 60s' };
  console.log(row('`stop_signal: SIGURG`', ...(await measureReplacing(up, harmless))));
  const stop = async (host: Host, file: string) => {
    for (const i of [1, 2, 3, 4, 5]) await host.pointsman('stop', '--engine', `unix://${host.socket}`, `shop-web-${i}`);
    await up(host, file);
  };
  console.log(row('`pointsman stop`, one after the other', ...(await measureReplacing(stop))));
  const rollout = (host: Host, file: string) =>
    host.pointsman(
      ...['rollout', '--engine', `unix://${host.socket}`, 'web', '--', 'sh', '-c'],
      `VERSION=2 nsenter -t ${host.engine.pid} -m -n docker compose -f ${file} up --detach --no-recreate --scale web=$ROLLOUT_SCALE`,
    );
  console.log(row('`pointsman rollout`', ...(await measureReplacing(rollout))));
  console.log(row('plain, the application finishes its open requests', ...(await measureReplacing(up))));
  console.log(row('plain, the application exits at once', ...(await measureReplacing(up, { abrupt: true }))));
  for (const agent of agents) {
    agent.kill('SIGKILL');
    await agent.ended;
  }

  console.log('\nAn agent that starts with many containers, without checks.\n');
  await measureMemory([few, many]);
} finally {
  await hosts.close();
}
