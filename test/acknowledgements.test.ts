import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseAcknowledgement } from '../src/fleet/acknowledgement.ts';
import { readProcesses } from '../src/haproxy/master.ts';
import { signal } from '../src/haproxy/processes.ts';
import { fleetKeys } from '../src/registry/registry.ts';
import { Recorder } from './registry/recorder.ts';
import { startApp } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

async function startNamedApp(name: string) {
  const app = await startApp(name);
  onTestFinished(() => app.close());
  return app;
}

const instance = (address: string, state = 'ready') => JSON.stringify({ address, state });

describe.each(['folder', 'etcd'] as const)('a balancer, with the registry in %s,', (kind) => {
  test('acknowledges what it serves, and what it refuses', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers(kind);
    const app = await startNamedApp('a');
    const balancer = await balancerNamed('lb-1');
    for (const name of ['one', 'two', 'three', 'four']) {
      // A new service takes a reload where HAProxy is older than 3.4; the acknowledgement has to wait for it.
      const revision = await registry.write(`instances/${name}/a`, instance(app.address));
      await acknowledged('lb-1', `revision ${revision}`, (said) => said.revision >= revision);
      expect(await balancer.ask(name)).toEqual({ status: 200, body: 'a' });
    }
    const removed = (await registry.remove('instances/two/a')) ?? 0n;
    await acknowledged('lb-1', `revision ${removed}`, (said) => said.revision >= removed);
    expect((await balancer.ask('two')).status).toBe(404);

    const nothing = await registry.write('keys/colour', 'blue');
    await acknowledged('lb-1', `revision ${nothing}`, (said) => said.revision >= nothing);

    const bad = await registry.write('instances/one/b', '10.0.0.1:http');
    const said = await acknowledged('lb-1', `revision ${bad}`, (one) => one.revision >= bad);
    const reason = '"http" is not a port: 1 to 65535';
    expect(said.refusals).toEqual([{ key: 'instances/one/b', reason, absent: true, final: true }]);
    expect(said).toMatchObject({ version: expect.any(String), haproxyVersion: expect.stringMatching(/^\d+\.\d+/) });
  });
});

describe('a balancer', () => {
  test('acknowledges once for a burst, and not for what other balancers acknowledge', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers('etcd');
    for (const { id } of [await balancerNamed('lb-1'), await balancerNamed('lb-2')])
      await acknowledged(id, 'anything', ({ revision }) => revision > 0n);
    const heard = new Recorder(registry, fleetKeys);
    await heard.started();
    const writes = await Promise.all(Array.from({ length: 300 }, (_, i) => registry.write(`keys/k-${i}`, 'value')));
    const last = writes.reduce((newest, one) => (one > newest ? one : newest));
    const reached = (revision: bigint) => () =>
      ['lb-1', 'lb-2'].every((id) => {
        const said = parseAcknowledgement(heard.values()[`balancers/${id}`] ?? '');
        return said.ok && said.value.revision >= revision;
      });
    await until('both acknowledge the burst', reached(last));
    expect(heard.changes.length).toBeLessThan(300);
    const before = heard.changes.length;
    await until('both acknowledge one more', reached(await registry.write('keys/k', 'value')));
    expect(heard.changes.length - before).toBe(2);
  });

  test('of a large fleet leaves etcd more time between acknowledgements', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers('etcd');
    await Promise.all(Array.from({ length: 400 }, (_, i) => registry.write(`balancers/other-${i}`, 'a balancer')));
    const { id } = await balancerNamed('lb-1');
    await acknowledged(id, 'anything', ({ revision }) => revision > 0n);
    const times: number[] = [];
    const heard = new Recorder(registry, fleetKeys, ({ kind }) => {
      if (kind === 'changes') times.push(performance.now());
    });
    await heard.started();
    // One every second or so, as soon as it has counted the fleet; in a small one they come every 50 ms.
    const apart = () => times.slice(-3).filter((time, i, last) => time - (last[i - 1] ?? time) > 500).length === 2;
    await until('its acknowledgements are far apart', async () => {
      await registry.write('keys/k', `after ${times.length}`);
      return apart();
    });
    await heard.close();
  });

  test('whose HAProxy refuses a service acknowledges the rest, and names what it does not serve', async () => {
    const { dir, registry, location, balancerNamed, acknowledged } = await startBalancers('etcd');
    const app = await startNamedApp('a');
    await registry.write('instances/web/a', instance(app.address));
    const folder = join(dir, 'templates');
    await mkdir(folder);
    const shipped = await readFile(join(import.meta.dirname, '../templates/policy.mustache'), 'utf8');
    const own = `${shipped.trimEnd()}\n{{#httpCheck}}\n    frobnicate\n{{/httpCheck}}\n\n`;
    await writeFile(join(folder, 'policy.mustache'), own);
    const balancer = await balancerNamed('lb-1', '--haproxy-templates', folder);
    await until('it is served', async () => (await balancer.ask('web')).status === 200);

    await registry.write('services/two', JSON.stringify({ check: { kind: 'http' } }));
    const revision = await registry.write('instances/two/b', instance(app.address));
    const said = await acknowledged('lb-1', `revision ${revision}`, (one) => one.revision >= revision);
    expect(said.refusals).toContainEqual({
      ...{ key: 'instances/two/*', absent: true },
      reason: expect.stringContaining('frobnicate'),
      final: true,
    });
    const { code, stderr } = await runPointsman(['wait', 'two/b', '--registry', location, '--timeout', '3s']);
    expect(code).toBe(1);
    expect(stderr.join()).toMatch(/lb-1 does not serve it: .*frobnicate/);
    // Changes by the runtime API are made all the same.
    const drain = await registry.write('instances/web/a', instance(app.address, 'draining'));
    await acknowledged('lb-1', 'the drain', (one) => one.revision >= drain && one.draining?.get('web/a') === 0);
  });

  test('takes its key along when it ends, and has it back at once after a crash', async () => {
    const { registry, fleet, balancerNamed, acknowledged } = await startBalancers('etcd');
    await registry.write('instances/web/a', instance('127.0.0.1:1'));
    const balancer = await balancerNamed('lb-1');
    const before = await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    balancer.process.kill('SIGKILL');
    await balancer.process.ended;
    const second = balancer.again();
    await second.logged('haproxy-adopted');
    const revision = await registry.write('instances/web/b', instance('127.0.0.1:2'));
    const after = await acknowledged('lb-1', `revision ${revision}`, (said) => said.revision >= revision);
    expect(after.owner).toBe(before.owner);
    expect(second.log.filter(({ event }) => event === 'not-acknowledging')).toEqual([]);
    second.kill('SIGTERM');
    await second.ended;
    await until('its key is gone', () => !fleet.view.balancers.has('lb-1'), { deadlineMs: 3000 });
  });

  test('that has the id of another says so, is waited for beside it, and takes the id when the other one is gone', async () => {
    const { registry, fleet, balancerNamed, acknowledged } = await startBalancers('etcd');
    const app = await startNamedApp('a');
    await registry.write('instances/web/a', instance(app.address));
    const first = await balancerNamed('lb-1');
    const said = await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    const second = await balancerNamed('lb-1');
    const told = await second.process.logged('id-taken');
    expect(told).toMatchObject({ level: 'warn', msg: expect.stringContaining('give each balancer its own --id') });
    await until('it serves', async () => (await second.ask('web')).status === 200);
    const beside = String(told['key']).slice('balancers/'.length);
    await acknowledged(beside, 'anything', ({ revision }) => revision > 0n);
    // The registry tells of the key a moment before the balancer has the answer to its write.
    await until('it says so', async () => (await second.status()).acknowledging.beside !== undefined);
    expect((await second.status()).acknowledging).toMatchObject({ state: 'acknowledging', beside: expect.any(String) });
    expect((await first.status()).acknowledging).toEqual({ state: 'acknowledging', revision: expect.any(String) });
    first.process.kill('SIGTERM');
    await first.process.ended;
    await acknowledged('lb-1', 'under another owner', ({ owner }) => owner !== said.owner);
    await until('it has no other key', () => !fleet.view.balancers.has(beside));
    const { acknowledging } = await second.status();
    expect(acknowledging).toEqual({ state: 'acknowledging', revision: expect.any(String) });
  });

  test.each(['folder', 'etcd'] as const)(
    'whose folder is lost in a crash is never unknown, with the registry in %s',
    async (kind) => {
      const { dir, registry, fleet, location, balancerNamed } = await startBalancers(kind);
      const app = await startNamedApp('a');
      await registry.write('instances/web/a', instance(app.address));
      const first = await balancerNamed('lb-1');
      await until('it serves', async () => (await first.ask('web')).status === 200);
      const { masterPid, workerPid } = (await readProcesses(first.masterSocket, 2000)) ?? {};
      first.process.kill('SIGKILL');
      for (const pid of [masterPid, workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
      await first.process.ended;
      await rm(join(dir, `balancer-${first.http}`), { recursive: true, force: true });
      let fewest = fleet.view.balancers.size;
      const stopListening = fleet.listen(() => {
        fewest = Math.min(fewest, fleet.view.balancers.size);
      });
      onTestFinished(() => void stopListening());
      const second = first.again();
      await second.logged('serving');
      expect(fleet.view.balancers.size).toBe(2);
      // Its predecessor's lease runs out, and in its whole time there is somebody to wait for.
      await second.logged('id-free');
      await until('it has one key', () => [...fleet.view.balancers.keys()].join() === 'lb-1');
      expect(fewest).toBe(1);
      const { code } = await runPointsman(['wait', 'web', '--registry', location, '--timeout', '5s']);
      expect(code).toBe(0);
      second.kill('SIGTERM');
      await second.ended;
    },
  );

  test('that serves from its disk while the registry is away acknowledges when it is back', async () => {
    const { registry, etcd, fleet, balancerNamed, acknowledged } = await startBalancers('etcd');
    await registry.write('instances/web/a', instance('127.0.0.1:1'));
    const balancer = await balancerNamed('lb-1');
    await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    balancer.process.kill('SIGTERM');
    await balancer.process.ended;
    await until('its key is gone', () => !fleet.view.balancers.has('lb-1'));
    const [member] = etcd?.members ?? [];
    await member?.stop();
    const second = balancer.again();
    await second.logged('serving');
    expect((await balancer.status()).acknowledging).toEqual({ state: 'nothing-yet' });
    member?.start();
    await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    expect((await balancer.status()).acknowledging).toMatchObject({ state: 'acknowledging' });
  });
});
