import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { PointsmanProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Host, type Hosts, startHosts } from './hosts.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['node']);
if (reason !== undefined) process.stderr.write(`container labels are not tested: ${reason}\n`);

const names = ['one', 'two'] as const;
const web = { 'pointsman.service': 'web', 'pointsman.port': '8080' };
const published = '--publish=8080';

/** As a user writes it: the image knows nothing of pointsman. */
const compose = (folder: string, more: string): string => `
name: shop
services:
  web:
    image: pointsman-base-node
    command: [node, /srv/app.mjs]
    environment: { VERSION: "\${VERSION}" }
    ports: ["8080"]
    volumes: ["${folder}/app.mjs:/srv/app.mjs:ro"]
    labels: { pointsman.service: "", pointsman.port: "8080", pointsman.version: "\${VERSION}" }
    deploy: { replicas: 2 }
    ${more}
`;

describe.skipIf(reason !== undefined)('containers with labels on two hosts', () => {
  let hosts: Hosts;
  const agents = new Map<string, PointsmanProcess>();
  beforeAll(async () => {
    hosts = await startHosts();
    for (const name of names) agents.set(name, hosts[name].startAgent());
  }, 900_000);
  afterAll(() => hosts?.close(), 120_000);
  afterEach(async () => {
    for (const name of names) await hosts[name].removeContainers();
    await until('no instance is left', async () => (await hosts.keys('instances/')).length === 0, patience);
  }, 60_000);

  const printLogsOnFailure = () =>
    onTestFailed(() => {
      for (const [name, agent] of agents) process.stderr.write(`--- agent of ${name}\n${agent.output.join('\n')}\n`);
    });
  const both = (what: string, condition: (host: Host) => Promise<boolean>) =>
    until(what, async () => (await Promise.all(names.map((name) => condition(hosts[name])))).every(Boolean), patience);
  const serve = (...answers: readonly string[]) =>
    both(`${answers.join(', ')} answer`, async (host) => (await host.answers()).join() === answers.join());
  const logOf = (host: Host, container: string) => host.engine.logs(container);

  test('a container of each host is served by both balancers, until it ends', async () => {
    printLogsOnFailure();
    await hosts.one.startApp('a', web, published);
    await hosts.two.startApp('b', web, published);
    await serve('a version 1', 'b version 1');
    expect(await hosts.keys('instances/')).toEqual(['instances/web/one-a', 'instances/web/two-b']);
    await hosts.one.docker(['kill', '--signal', 'KILL', 'a']);
    await serve('b version 1');
    await hosts.one.docker(['start', 'a']);
    await serve('a version 1', 'b version 1');
    await hosts.two.docker(['restart', '--time', '1', 'b']);
    await serve('a version 1', 'b version 1');
  });
});
