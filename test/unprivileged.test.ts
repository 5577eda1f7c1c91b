import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { startApp } from './support/app.ts';
import { startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { asNobody, installedFor, nobody, whyNot } from './support/unprivileged.ts';
import { until } from './support/until.ts';

const reason = await whyNot();
if (reason !== undefined) process.stderr.write(`not tested: ${reason}\n`);

/** Of /proc/PID/status. */
async function rightsOf(pid: number): Promise<Record<string, string>> {
  const lines = (await readFile(`/proc/${pid}/status`, 'utf8')).split('\n').map((line) => line.split(/:\s+/));
  const wanted = ['Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs'];
  return Object.fromEntries(
    lines.flatMap(([name = '', text = '']) => (wanted.includes(name) ? [[name, text.trim()]] : [])),
  );
}

/** `drwx------ run`, for all under a folder. */
async function modesOf(folder: string): Promise<Record<string, string>> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const modes = found.map(async (item): Promise<[string, string]> => {
    const path = join(item.parentPath, item.name);
    const { mode, uid } = await stat(path);
    expect(uid, path).toBe(nobody);
    return [path.slice(folder.length + 1), (mode & 0o777).toString(8)];
  });
  return Object.fromEntries((await Promise.all(modes)).sort());
}

test.skipIf(reason !== undefined)(
  'a balancer and a register work as a user without a name, home, group or right, who may write --dir only',
  async () => {
    const scenario = await startScenario('etcd');
    const folder = await mkdtemp(join(tmpdir(), 'pm-package-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const executable = await installedFor(folder);
    await chmod(scenario.dir, 0o755);
    await mkdir(scenario.balancerDir);
    await chown(scenario.balancerDir, nobody, nobody);
    const through = asNobody(scenario.balancerDir);
    // The whole world outside cannot be written: else this test shows nothing.
    const [first = '', ...rest] = through;
    for (const path of ['/tmp/x', '/x', '/var/tmp/x', join(scenario.dir, 'x')]) {
      const touch = await execa(first, [...rest, 'touch', path], { reject: false });
      expect(touch.stderr, path).toMatch(/Read-only file system|Permission denied/);
    }

    const app = await startApp('a');
    onTestFinished(() => app.close());
    const homeless = ['env', '-u', 'HOME', '-u', 'XDG_CACHE_HOME', '-u', 'TMPDIR'];
    const options = { through: [...through, ...homeless], executable };
    const balancer = scenario.balancerWith(options, '--hard-stop-after', '5s');
    const register = ['register', '--registry', scenario.location, '--service', 'web', '--id', 'a', '--ttl', '30s'];
    const registration = startPointsman([...register, '--address', app.address, '--', 'sleep', '600'], options);
    await registration.logged('announced');
    await scenario.serves('web', ['a'], 20_000);
    // A reload, a map and a last known catalog are written.
    await scenario.writeByHand('services/api', '{"mode":"http","hosts":["api.example.com"]}');
    await scenario.writeByHand('instances/api/x', app.address);
    await scenario.serves('api.example.com', ['a']);
    await until('the catalog is kept', async () =>
      (await readFile(join(scenario.balancerDir, 'state/catalog.json'), 'utf8')).includes('instances/api/x'),
    );

    const haproxy = await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000);
    const none = '0000000000000000';
    for (const pid of [balancer.pid, registration.pid, haproxy?.masterPid ?? 0, haproxy?.workerPid ?? 0]) {
      expect(await rightsOf(pid)).toEqual({
        Uid: [nobody, nobody, nobody, nobody].join('\t'),
        Gid: [nobody, nobody, nobody, nobody].join('\t'),
        Groups: '',
        CapEff: none,
        CapPrm: none,
        CapBnd: none,
        NoNewPrivs: '1',
      });
    }
    // A file that is just being replaced is gone a moment later.
    const modes = await until('its files', () => modesOf(scenario.balancerDir).catch(() => undefined));
    expect(modes).toMatchObject({
      run: '700',
      'run/haproxy.sock': '600',
      'run/master.sock': '600',
      state: '700',
      'state/catalog.json': '600',
      'state/owner': '600',
      'haproxy.cfg': '640',
      'maps/routes.map': '640',
    });
    // No other user may write any file, and files that others may read hold no secret.
    expect(Object.entries(modes).filter(([, mode]) => !/^(7[05][05]|6[04]0)$/.test(mode))).toEqual([]);

    registration.kill('SIGTERM');
    expect((await registration.ended).code).toBe(143);
    balancer.kill('SIGTERM');
    expect((await balancer.ended).code).toBe(0);
    for (const { log } of [balancer, registration]) expect(log.filter(({ level }) => level === 'error')).toEqual([]);
  },
);

test.skipIf(reason !== undefined)('a port that needs a right which HAProxy lacks is told with what to do', async () => {
  const scenario = await startScenario('etcd');
  const folder = await mkdtemp(join(tmpdir(), 'pm-package-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const executable = await installedFor(folder);
  await chmod(scenario.dir, 0o755);
  await mkdir(scenario.balancerDir);
  await chown(scenario.balancerDir, nobody, nobody);
  const balancer = startPointsman(
    ['balance', '--registry', scenario.location, '--dir', scenario.balancerDir, '--http', '127.0.0.1:80', '--admin', `127.0.0.1:${scenario.admin}`], // biome-ignore format: a line
    { through: asNobody(scenario.balancerDir), executable },
  );
  expect((await balancer.ended).code).toBe(1);
  expect(balancer.stderr.at(-1)).toMatch(
    /HAProxy cannot listen on 127\.0\.0\.1:80: Permission denied.*CAP_NET_BIND_SERVICE in the systemd unit.*--http/,
  );
});
