import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Hosts, startHosts } from './hosts.ts';
import { patience } from './world.ts';

const bases = ['haproxy', 'node'] as const;
const reason = whyNoEngine(bases);
if (reason !== undefined) process.stderr.write(`container labels are not tested with Swarm: ${reason}\n`);

const docker = join(import.meta.dirname, '../../docker');
const minute = 60_000;

/** As docs/containers.md has it, with an application of ours. */
const stack = (folder: string): string => `
services:
  web:
    image: pointsman-base-node
    command: [node, /srv/app.mjs]
    environment: { VERSION: "\${VERSION}" }
    volumes: ["${folder}/app.mjs:/srv/app.mjs:ro"]
    labels:
      pointsman.service: ""
      pointsman.port: "8080"
      pointsman.hosts: web
    ports:
      - { target: 8080, mode: host }
    healthcheck:
      test: [CMD, node, -e, "fetch('http://127.0.0.1:8080/health').then(({ ok }) => process.exit(ok ? 0 : 1))"]
      interval: 2s
      start_period: 60s
    stop_signal: SIGURG
    stop_grace_period: 90s
    deploy:
      replicas: 2
      update_config: { order: start-first }
`;

describe.skipIf(reason !== undefined)('containers with labels in a Swarm', () => {
  let hosts: Hosts;
  beforeAll(async () => {
    hosts = await startHosts(bases);
    await hosts.one.engine.build();
  }, 15 * minute);
  afterAll(() => hosts?.close(), 2 * minute);

  test('an update and a smaller scale of tasks lose no request, with an agent on each node', {
    timeout: 8 * minute,
  }, async () => {
    const { one } = hosts;
    const agents = 'pointsman-labels_agent';
    onTestFailed(async () => void process.stderr.write(`${await one.engine.serviceLogs(agents)}\n`), minute);
    const deploy = (file: string, name: string, variables: Readonly<Record<string, string>>) =>
      one.docker(['stack', 'deploy', '--detach=false', '--resolve-image=never', '--compose-file', file, name], variables); // biome-ignore format: one command
    const instances = (count: number) =>
      until(`${count} instances`, async () => (await hosts.keys('instances/')).length === count, { ...patience, deadlineMs: 2 * minute }); // biome-ignore format: one wait

    await one.docker(['swarm', 'init', '--advertise-addr', one.address]);
    const agent = { POINTSMAN_REGISTRY: `etcd://${one.address}:2379`, HAPROXY_IMAGE: 'pointsman-base-haproxy' };
    await deploy(join(docker, 'swarm-labels.yaml'), 'pointsman-labels', agent);
    const file = join(hosts.folder, 'stack.yaml');
    await writeFile(file, stack(hosts.folder));
    await deploy(file, 'shop', { VERSION: '1' });
    await instances(2);
    const [first = ''] = await hosts.keys('instances/');
    expect(first).toMatch(/^instances\/shop_web\/one-shop_web\.[12]\./);

    const load = hosts.load();
    const answering = (version: number) => load.answers().filter((one) => one.endsWith(`version ${version}`)).length;
    await until('both tasks answer', () => answering(1) === 2, patience);
    await deploy(file, 'shop', { VERSION: '2' });
    await until('both new tasks answer', () => answering(2) === 2, patience);
    await one.docker(['service', 'update', '--detach=false', '--force', agents]);
    await one.docker(['service', 'scale', '--detach=false', 'shop_web=1']);
    await instances(1);
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    await one.docker(['stack', 'rm', 'shop']);
    await instances(0);
  });
});
