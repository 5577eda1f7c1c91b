import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { bootMachine, type Machine, whyNoSystemd } from './machine.ts';

const reason = whyNoSystemd();
if (reason !== undefined) process.stderr.write(`systemd is not tested: ${reason}\n`);

const units = join(import.meta.dirname, '../../docker/systemd');
const settings = 'registry: etcd://127.0.0.1:2379\nhttp: 0.0.0.0:80\n';

/** Requests until it is stopped; what became of them. */
function startLoad(machine: Machine) {
  const child = machine.start('node', '/opt/pointsman/test/containers/load.mjs', '80');
  let output = '';
  child.stdout.on('data', (text) => {
    output += String(text);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return async (): Promise<{ readonly requests: number; readonly failed: number; readonly failures: unknown }> => {
    child.stdin.end();
    await ended;
    return JSON.parse(output.slice(output.indexOf('{')));
  };
}

describe.skipIf(reason !== undefined)('under systemd', () => {
  let machine: Machine;
  const systemctl = (...args: readonly string[]) => machine.run('systemctl', ...args);
  const show = (name: string) => systemctl('show', '--value', `--property=${name}`, 'pointsman-balance');
  const journal = (...args: readonly string[]) => machine.run('journalctl', '-t', 'pointsman', '-o', 'cat', ...args);
  /** HAProxy's master. */
  const master = () => machine.run('pgrep', '-o', '-x', 'haproxy');

  beforeAll(async () => {
    machine = await bootMachine();
    // As the first lines of the unit say.
    for (const [name, path] of [
      ['pointsman.sysusers', '/usr/lib/sysusers.d/pointsman.conf'],
      ['pointsman-balance.service', '/etc/systemd/system/pointsman-balance.service'],
      ['pointsman-stop-haproxy.service', '/etc/systemd/system/pointsman-stop-haproxy.service'],
    ] as const)
      await machine.write(path, await readFile(join(units, name), 'utf8'));
    await machine.write('/etc/hosts', '127.0.0.1 localhost\n');
    await machine.write('/etc/pointsman/balance.yaml', settings);
    await machine.run('ln', '-s', '/opt/pointsman/bin/pointsman', '/usr/bin/pointsman');
    await machine.run('systemd-sysusers');
    await systemctl('daemon-reload');
    await machine.run('systemd-run', '--unit=etcd-test', 'etcd', '--data-dir=/tmp/etcd');
    const app = ['--setenv=PORT=9001', 'node', '/opt/pointsman/docker/example/server.mjs'];
    await machine.run('systemd-run', '--unit=app', ...app);
    const put = 'until etcdctl put /pointsman/instances/web/web-1 127.0.0.1:9001; do sleep 0.1; done';
    await machine.run('timeout', '30', 'sh', '-c', put);
    await systemctl('start', 'pointsman-balance');
  }, 180_000);
  afterAll(() => machine?.close(), 90_000);

  const printJournalOnFailure = () =>
    onTestFailed(async () => {
      process.stderr.write(await machine.run('journalctl', '--no-pager', '-n', '80', '-u', 'pointsman-*'));
    }, 30_000);

  test('the unit is started when HAProxy serves', async () => {
    printJournalOnFailure();
    const { status } = await ask('/');
    expect({ status, active: await show('ActiveState') }).toEqual({ status: '200', active: 'active' });
    expect(await show('StatusText')).toBe('serves on http://0.0.0.0:80');
  });

  const ask = async (path: string, port = 80) => {
    const command = ['curl', '-s', '-w', '\n%{http_code}', '-H', 'Host: web', `http://127.0.0.1:${port}${path}`];
    const lines = (await machine.run(...command)).split('\n');
    return { status: lines.at(-1), body: lines.slice(0, -1).join('\n') };
  };

  test('a restart, a reload and a crash of pointsman lose no request', async () => {
    printJournalOnFailure();
    const before = await master();
    const stopLoad = startLoad(machine);
    const pid = () => show('MainPID');
    let last = await pid();
    for (const act of [
      () => systemctl('restart', 'pointsman-balance'),
      () => systemctl('reload', 'pointsman-balance'),
      () => systemctl('kill', '--kill-whom=main', '--signal=KILL', 'pointsman-balance'),
    ]) {
      await act();
      // Another process, and it serves.
      await machine.run('timeout', '60', 'sh', '-c', restarted(last));
      last = await pid();
    }
    const { requests, failed, failures } = await stopLoad();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(100);
    expect(await master()).toBe(before);
  });

  const restarted = (pid: string) => `until
    [ "$(systemctl show --value -p MainPID pointsman-balance)" != ${pid} ] && systemctl is-active -q pointsman-balance
  do sleep 0.1; done`;

  test('a stop or a signal to the unit that ends HAProxy leaves the HAProxy of a running balancer, and the unit comes back', async () => {
    printJournalOnFailure();
    const before = await master();
    const stopLoad = startLoad(machine);
    const companion = async () =>
      (await systemctl('show', '--value', '-p', 'MainPID', 'pointsman-stop-haproxy')).trim();
    let last = await companion();
    for (const act of ['stop', 'kill', 'restart']) {
      await systemctl(act, 'pointsman-stop-haproxy');
      const back = `until pid=$(systemctl show --value -p MainPID pointsman-stop-haproxy); [ $pid != 0 ] && [ $pid != ${last} ]; do sleep 0.1; done`;
      await machine.run('timeout', '30', 'sh', '-c', back);
      last = await companion();
    }
    const { failed, failures } = await stopLoad();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(await master()).toBe(before);
  });

  test('a reload with wrong settings says so and changes nothing', async () => {
    printJournalOnFailure();
    const pid = await show('MainPID');
    await machine.write('/etc/pointsman/balance.yaml', `${settings}stop-timeout: never\n`);
    await expect(systemctl('reload', 'pointsman-balance')).rejects.toThrow();
    expect(await journal('-p', 'err')).toContain('/etc/pointsman/balance.yaml:3');
    await machine.write('/etc/pointsman/balance.yaml', settings);
    expect(await show('MainPID')).toBe(pid);
    expect((await ask('/')).status).toBe('200');
  });

  test('a reload with an address that cannot be had says so and changes nothing', async () => {
    printJournalOnFailure();
    const pid = await show('MainPID');
    // The application has the first, and the machine does not have the second.
    for (const address of ['127.0.0.1:9001', '192.0.2.1:80']) {
      await machine.write('/etc/pointsman/balance.yaml', settings.replace('0.0.0.0:80', address));
      await expect(systemctl('reload', 'pointsman-balance')).rejects.toThrow();
      expect(await journal('-p', 'err', '-n', '5')).toContain(`HAProxy cannot listen on ${address}`);
    }
    expect(await show('MainPID')).toBe(pid);
    expect((await ask('/')).status).toBe('200');

    // A restart checks nothing before it. Then the status says what is wrong.
    await systemctl('restart', 'pointsman-balance');
    expect((await ask('/')).status).toBe('200');
    expect(await show('StatusText')).toMatch(/^serves the settings of before; .*cannot listen on 192\.0\.2\.1:80/);
    await machine.write('/etc/pointsman/balance.yaml', settings);
    await systemctl('restart', 'pointsman-balance');
    expect(await show('StatusText')).toBe('serves on http://0.0.0.0:80');
  });

  test('pointsman-apply@shop applies the declarations of the set "shop", and each commit that is put in place', async () => {
    onTestFailed(async () => {
      process.stderr.write(await machine.run('journalctl', '--no-pager', '-n', '40', '-u', 'pointsman-apply@shop'));
    }, 30_000);
    const name = 'pointsman-apply@.service';
    await machine.write(`/etc/systemd/system/${name}`, await readFile(join(units, name), 'utf8'));
    await machine.write('/etc/pointsman/apply-shop.yaml', 'registry: etcd://127.0.0.1:2379\nadmin: 127.0.0.1:8406\n');
    const shop = '/srv/pointsman/shop';
    const commit = (id: string) =>
      machine.write(`${shop}/commit-${id}/declarations/shop.yaml`, `services: {shop-web: {maxconn: ${id}}}\n`);
    const served = (id: string) =>
      machine.run(
        ...['timeout', '60', 'sh', '-c'],
        `until etcdctl get --print-value-only /pointsman/services/shop-web | grep -q '"maxconn":${id}'; do sleep 0.1; done`,
      );
    await commit('1');
    await machine.run('ln', '-s', 'commit-1', `${shop}/current`);
    await systemctl('daemon-reload');
    await systemctl('start', 'pointsman-apply@shop');
    await served('1');

    await commit('2');
    await machine.run('ln', '-s', 'commit-2', `${shop}/next-link`);
    await machine.run('mv', '-T', `${shop}/next-link`, `${shop}/current`);
    await served('2');
    expect(await machine.run('etcdctl', 'get', '--prefix', '--keys-only', '/pointsman/sets/')).toContain('/sets/shop/');
    await systemctl('stop', 'pointsman-apply@shop');
  });

  test('the journal has each line of the log with its priority, and without the mark of the priority', async () => {
    const lines = (await journal('-p', 'info..info')).split('\n').filter((line) => line.startsWith('{'));
    const levels = new Set(lines.map((line) => (JSON.parse(line) as { readonly level: string }).level));
    expect([...levels]).toEqual(['info']);
    expect(await journal()).not.toMatch(/^<\d>/m);
  });

  test('a stop first fails the health check, and serves on meanwhile', async () => {
    printJournalOnFailure();
    const stopping = systemctl('stop', 'pointsman-balance');
    const left = "until curl -s http://127.0.0.1:8404/serving | grep '^leaving'; do sleep 0.05; done";
    await machine.run('timeout', '10', 'sh', '-c', left);
    expect((await ask('/')).status).toBe('200');
    await stopping;
    expect(await show('Result')).toBe('success');
    await expect(master()).rejects.toThrow();
  });

  const restarting = () =>
    machine.run(
      'timeout',
      '30',
      'sh',
      '-c',
      "until systemctl show -p SubState pointsman-balance | grep -q '=auto-restart'; do :; done",
    );

  /** pointsman-stop-haproxy ends it after `systemctl stop` has returned. */
  const haproxyEnded = () => machine.run('timeout', '30', 'sh', '-c', 'while pgrep -x haproxy; do sleep 0.1; done');

  test('a stop ends HAProxy, too, while pointsman has crashed and systemd waits to start it again', async () => {
    printJournalOnFailure();
    await systemctl('start', 'pointsman-balance');
    await systemctl('kill', '--kill-whom=main', '--signal=KILL', 'pointsman-balance');
    await restarting();
    expect((await ask('/')).status).toBe('200');
    await systemctl('stop', 'pointsman-balance');
    await haproxyEnded();
  });

  test('a stop ends HAProxy, too, while pointsman cannot start', async () => {
    printJournalOnFailure();
    await systemctl('start', 'pointsman-balance');
    await machine.write('/etc/pointsman/balance.yaml', `${settings}stop-timeout: never\n`);
    await systemctl('kill', '--kill-whom=main', '--signal=KILL', 'pointsman-balance');
    // Twice: the second is after a start that failed.
    const failed = 'until [ $(systemctl show --value -p NRestarts pointsman-balance) -ge 2 ]; do sleep 0.1; done';
    await machine.run('timeout', '30', 'sh', '-c', failed);
    expect((await ask('/')).status).toBe('200');
    await systemctl('stop', 'pointsman-balance');
    await machine.write('/etc/pointsman/balance.yaml', settings);
    await haproxyEnded();
  });

  test('a stop ends HAProxy, too, while a restart is under way, also with another --dir', async () => {
    printJournalOnFailure();
    const command = 'pointsman balance --config /etc/pointsman/balance.yaml --dir /var/lib/pointsman/other';
    const dropIn = `[Service]\nExecStart=\nExecStart=/usr/bin/env ${command}\n`;
    await machine.write('/etc/systemd/system/pointsman-balance.service.d/dir.conf', dropIn);
    await systemctl('daemon-reload');
    await systemctl('start', 'pointsman-balance');
    const pid = await show('MainPID');
    await systemctl('restart', '--no-block', 'pointsman-balance');
    const ended = `until [ "$(systemctl show --value -p MainPID pointsman-balance)" != ${pid} ]; do :; done`;
    await machine.run('timeout', '30', 'sh', '-c', ended);
    await systemctl('stop', 'pointsman-balance');
    await haproxyEnded();
  });
});
