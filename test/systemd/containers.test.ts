import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { bootMachine, type Machine, whyNoSystemd } from './machine.ts';

const reason = whyNoSystemd();
if (reason !== undefined) process.stderr.write(`systemd is not tested: ${reason}\n`);

const unit = join(import.meta.dirname, '../../docker/systemd/pointsman-containers.service');

/**
 * An engine with one container, on the socket that systemd's docker.socket would make. At SIGTERM it does as dockerd does, measured
 * with Docker 26.1: it answers no new request, tells of the signals for its containers on open streams, and ends some time later.
 */
const engine = `
  const { createServer } = require('node:http');
  const { chmodSync, chownSync, rmSync } = require('node:fs');
  const [socket, group] = ['/run/docker.sock', Number(process.argv[1])];
  const streams = new Set();
  const inspected = {
    Id: 'c1', Name: '/web-1', Created: '2026-01-01T00:00:00Z',
    State: { Status: 'running', Running: true, StartedAt: '2026-01-01T00:00:00Z' },
    Config: { Labels: { 'pointsman.service': 'web', 'pointsman.network': 'net' }, ExposedPorts: { '80/tcp': {} } },
    NetworkSettings: { Ports: {}, Networks: { net: { IPAddress: '10.9.0.1' } } },
  };
  const server = createServer(({ url }, answer) => {
    if (url.startsWith('/events') && !url.includes('until=')) { answer.flushHeaders(); streams.add(answer); return; }
    const json = (value) => answer.end(JSON.stringify(value));
    if (url.startsWith('/events')) answer.end();
    else if (url.startsWith('/containers/json')) json([{ Id: 'c1', Names: ['/web-1'], Labels: inspected.Config.Labels, State: 'running' }]);
    else json(inspected);
  });
  rmSync(socket, { force: true });
  server.listen(socket, () => { chownSync(socket, 0, group); chmodSync(socket, 0o660); });
  process.on('SIGTERM', () => {
    server.close();
    const event = { Type: 'container', Action: 'kill', Actor: { ID: 'c1', Attributes: { signal: '15' } }, timeNano: Date.now() * 1e6 };
    for (const stream of streams) stream.write(JSON.stringify(event) + '\\n');
    setTimeout(() => process.exit(0), 2000);
  });`;

describe.skipIf(reason !== undefined)('pointsman-containers.service', () => {
  let machine: Machine;
  const systemctl = (...args: readonly string[]) => machine.run('systemctl', ...args);
  const value = (name: string, property: string) => systemctl('show', '--value', `--property=${property}`, name);
  const keys = () => machine.run('etcdctl', 'get', '--prefix', '--keys-only', '/pointsman/instances/');
  const repeated = (condition: string) =>
    machine.run('timeout', '60', 'sh', '-c', `until ${condition}; do sleep 0.1; done`);
  const ready = () => repeated('curl -sf http://127.0.0.1:8407/readyz');

  beforeAll(async () => {
    machine = await bootMachine();
    await machine.run('groupadd', '--system', 'docker');
    await machine.write('/opt/engine.cjs', engine);
    const group = (await machine.run('getent', 'group', 'docker')).split(':')[2];
    const start = `ExecStart=/bin/sh -c 'exec node -e "$$(cat /opt/engine.cjs)" ${group}'`;
    await machine.write('/etc/systemd/system/docker.service', `[Service]\nType=exec\n${start}\nKillMode=process\n`);
    // A stop of this target stops both in one transaction, as a shutdown does.
    await machine.write('/etc/systemd/system/both.target', '[Unit]\n');
    for (const name of ['docker', 'pointsman-containers'])
      await machine.write(`/etc/systemd/system/${name}.service.d/both.conf`, '[Unit]\nPartOf=both.target\n');
    await machine.write('/etc/systemd/system/pointsman-containers.service', await readFile(unit, 'utf8'));
    const settings = 'registry: etcd://127.0.0.1:2379\ncontainers: default\nttl: 30s\n';
    await machine.write('/etc/pointsman/containers.yaml', settings);
    await machine.write('/etc/hosts', '127.0.0.1 localhost\n');
    await machine.run('ln', '-s', '/opt/pointsman/bin/pointsman', '/usr/bin/pointsman');
    await systemctl('daemon-reload');
    await machine.run('systemd-run', '--unit=etcd-test', 'etcd', '--data-dir=/tmp/etcd');
    await systemctl('start', 'both.target', 'pointsman-containers', 'docker');
  }, 180_000);
  afterAll(() => machine?.close(), 90_000);

  const printJournalOnFailure = () =>
    onTestFailed(async () => {
      process.stderr.write(await machine.run('journalctl', '--no-pager', '-n', '60', '-u', 'pointsman-containers', '-u', 'docker')); // biome-ignore format: one command
    }, 30_000);

  test('announces the containers as a user of the group of the socket, and is ready', async () => {
    printJournalOnFailure();
    await ready();
    expect(await keys()).toContain('-web-1');
    const pid = await value('pointsman-containers', 'MainPID');
    expect(await machine.run('stat', '--format=%U', `/proc/${pid}`)).not.toBe('root');
    // CAP_KILL, the fifth bit, alone.
    expect(await machine.run('grep', 'CapEff', `/proc/${pid}/status`)).toMatch(/\t0*20$/);
  });

  test('is started again after a crash, and its instances stay meanwhile', async () => {
    printJournalOnFailure();
    const [before, revision] = [await value('pointsman-containers', 'MainPID'), await keys()];
    await systemctl('kill', '--kill-whom=main', '--signal=KILL', 'pointsman-containers');
    await repeated(`pid=$(systemctl show --value -p MainPID pointsman-containers) && [ $pid != 0 ] && [ $pid != ${before} ]`); // biome-ignore format: one condition
    expect(await keys()).toBe(revision);
    await ready();
  });

  test('is stopped after Docker at a shutdown, so that containers leave when Docker stops them', async () => {
    printJournalOnFailure();
    await systemctl('stop', 'both.target');
    await repeated('[ "$(systemctl is-active docker pointsman-containers | sort -u)" = inactive ]');
    // An agent that was stopped first keeps the instances for the next one, and the key is there until its lease ends.
    expect(await keys()).toBe('');
  });

  test('starts as soon as the machine has the group of Docker', async () => {
    printJournalOnFailure();
    const group = (await machine.run('getent', 'group', 'docker')).split(':')[2] ?? '';
    await machine.run('groupdel', 'docker');
    await systemctl('start', '--no-block', 'pointsman-containers');
    await repeated('[ "$(systemctl show --value -p ExecMainStatus pointsman-containers)" = 216 ]');
    await machine.run('groupadd', '--system', '--gid', group, 'docker');
    await systemctl('start', 'docker');
    await ready();
  });
});
