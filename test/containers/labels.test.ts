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
    await hosts.one.startApp('web-1', web, published);
    await hosts.two.startApp('web-2', web, published);
    await serve('web-1 version 1', 'web-2 version 1');
    expect(await hosts.keys('instances/')).toEqual(['instances/web/one-web-1', 'instances/web/two-web-2']);
    await hosts.one.docker(['kill', '--signal', 'KILL', 'web-1']);
    await serve('web-2 version 1');
    await hosts.one.docker(['start', 'web-1']);
    await serve('web-1 version 1', 'web-2 version 1');
    await hosts.two.docker(['restart', '--time', '1', 'web-2']);
    await serve('web-1 version 1', 'web-2 version 1');
  });
});
