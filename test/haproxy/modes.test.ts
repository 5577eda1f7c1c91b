import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { readProcesses } from '../../src/haproxy/master.ts';
import { isAlive, signal } from '../../src/haproxy/processes.ts';
import { startApp } from '../support/app.ts';
import { runPointsman } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const haproxy = process.env['HAPROXY_BIN'] ?? 'haproxy';

type Scenario = Awaited<ReturnType<typeof startScenario>>;

async function startApps(...names: readonly string[]) {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  return apps.map(({ address }) => address);
}

const configFile = ({ balancerDir }: Scenario) => join(balancerDir, 'haproxy.cfg');
const config = (scenario: Scenario) => readFile(configFile(scenario), 'utf8');

async function frameTemplate({ dir }: Scenario, change: (text: string) => string): Promise<string> {
  const folder = join(dir, 'templates');
  await mkdir(folder, { recursive: true });
  const shipped = await readFile(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
  await writeFile(join(folder, 'haproxy.cfg.mustache'), change(shipped));
  return folder;
}

const other = (text: string): string => text.replace('option dontlognull', 'option dontlog-normal');
const broken = (text: string): string => text.replace('option dontlognull', 'option frobnicate');

describe('attached: HAProxy is run by others, as in a container of its own', () => {
  // Debian's haproxy is in /usr/sbin: a pointsman with this PATH has none to check with.
  const withoutHaproxy = { PATH: '/usr/local/bin:/usr/bin:/bin' };

  /** Starts HAProxy as the entrypoint of such a container does. */
  function startHaproxy({ balancerDir }: Scenario): ChildProcess {
    const child = spawn(join(import.meta.dirname, '../../haproxy/attached'), [], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, POINTSMAN_DIR: balancerDir },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    onTestFailed(() => {
      process.stderr.write(`--- haproxy/attached\n${output}\n---\n`);
    });
    onTestFinished(() => void child.kill('SIGTERM'));
    return child;
  }

  test.each([
    ['waits for', false],
    ['is waited for by', true],
  ])('pointsman %s an HAProxy that serves what it wrote, and ends without ending it', async (_, haproxyFirst) => {
    const scenario = await startScenario('folder');
    const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
    await scenario.writeByHand('instances/web/a', a);
    if (haproxyFirst) startHaproxy(scenario);
    const first = scenario.balancer('--haproxy-mode', 'attached');
    if (!haproxyFirst) {
      await first.logged('haproxy-awaited');
      expect((await scenario.askAdmin('/readyz')).status).toBe(503);
      startHaproxy(scenario);
    }
    await first.logged('serving');
    await scenario.serves('web', ['a']);
    await scenario.writeByHand('instances/api/b', b);
    await scenario.serves('api', ['b']);
    first.kill('SIGTERM');
    expect(await first.ended).toEqual({ code: 0, signal: null });
    expect(await scenario.answers('web')).toEqual(['a']);

    const second = scenario.balancer('--haproxy-mode', 'attached');
    await second.logged('haproxy-adopted');
    await scenario.writeByHand('instances/web/c', c);
    await scenario.serves('web', ['a', 'c']);
    expect(second.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  });

  test('an instance that its checks find down, and up again, is an event with the reason', async () => {
    const scenario = await startScenario('folder');
    startHaproxy(scenario);
    const app = await startApp('a');
    const [b = ''] = await startApps('b');
    await scenario.writeByHand('instances/web/a', app.address);
    await scenario.writeByHand('instances/web/b', b);
    await scenario.writeByHand('services/web', JSON.stringify({ check: { kind: 'tcp', interval: '200ms' } }));
    const balancer = scenario.balancer('--haproxy-mode', 'attached', '--log-level', 'debug');
    await scenario.serves('web', ['a', 'b']);
    await balancer.logged('health-watched', ({ servers }) => servers === 2);
    await app.close();
    const down = await balancer.logged('server-down');
    expect(down).toMatchObject({ level: 'warn', key: 'instances/web/a', msg: 'web/a is down: connection refused' });
    const again = await startApp('a', undefined, app.port);
    onTestFinished(() => again.close());
    expect(await balancer.logged('server-up')).toMatchObject({ key: 'instances/web/a', msg: 'web/a is up again' });
  });

  test('its end and its restart are noticed', async () => {
    const scenario = await startScenario('folder');
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const balancer = scenario.balancer('--haproxy-mode', 'attached');
    startHaproxy(scenario);
    await balancer.logged('serving');
    await scenario.serves('web', ['a']);
    const master = await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000);
    for (const pid of [master?.masterPid, master?.workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
    await balancer.logged('runtime-lost');
    const serving = (status: number) =>
      until(`/serving answers ${status}`, async () => (await scenario.askAdmin('/serving')).status === status);
    await serving(503);
    await scenario.writeByHand('instances/web/b', b);
    startHaproxy(scenario);
    await scenario.serves('web', ['a', 'b'], 20_000);
    await serving(200);
    expect(balancer.running).toBe(true);
  });

  test('an HAProxy that is asked to end softly ends, although pointsman is connected to it', async () => {
    const scenario = await startScenario('folder');
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/a', a);
    const balancer = scenario.balancer('--haproxy-mode', 'attached');
    const child = startHaproxy(scenario);
    await balancer.logged('serving');
    await scenario.serves('web', ['a']);
    child.kill('SIGUSR1');
    await until('HAProxy has ended', () => child.exitCode !== null, { deadlineMs: 30_000 });
    await until('/serving answers 503', async () => (await scenario.askAdmin('/serving')).status === 503);
    startHaproxy(scenario);
    await scenario.serves('web', ['a'], 20_000);
  });

  test('with no haproxy of its own, the reload decides, and what it refuses is put back', async () => {
    const scenario = await startScenario('folder');
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const folder = await frameTemplate(scenario, (text) => text);
    startHaproxy(scenario);
    const args = ['--haproxy-mode', 'attached', '--haproxy-templates', folder];
    const balancer = scenario.balancerWith({ env: withoutHaproxy }, ...args);
    await scenario.serves('web', ['a']);

    await frameTemplate(scenario, broken);
    const refused = await balancer.logged('config-refused');
    expect(refused.msg).toContain('HAProxy refused the reload');
    expect(await config(scenario)).not.toContain('frobnicate');
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);

    await frameTemplate(scenario, other);
    await balancer.logged('reloaded', ({ reasons }) => JSON.stringify(reasons).includes('base configuration'));
    await until('the other frame serves', async () => (await config(scenario)).includes('dontlog-normal'));
    expect(await scenario.answers('web')).toEqual(['a', 'b']);
  });

  test('pointsman ends at once while it waits', async () => {
    const scenario = await startScenario('folder');
    await scenario.writeByHand('instances/web/a', '127.0.0.1:1');
    const balancer = scenario.balancer('--haproxy-mode', 'attached');
    await balancer.logged('haproxy-awaited');
    balancer.kill('SIGTERM');
    expect(await balancer.ended).toEqual({ code: 0, signal: null });
  });
});

describe('command: HAProxy is checked and reloaded by commands', () => {
  /** A script that does what `systemctl reload-or-restart haproxy` has Debian's unit do. */
  async function service(scenario: Scenario) {
    const pidFile = join(scenario.dir, 'haproxy.pid');
    const script = join(scenario.dir, 'reload-or-restart');
    const blocked = join(scenario.dir, 'blocked');
    await writeFile(
      script,
      `#!/bin/sh
      if [ -e ${blocked} ]; then echo 'Access denied' >&2; exit 4; fi
      if [ -e ${pidFile} ] && kill -0 $(cat ${pidFile}); then
        ${haproxy} -W -q -c -f "$1" && kill -USR2 $(cat ${pidFile})
      else
        exec ${haproxy} -W -D -p ${pidFile} -f "$1" </dev/null >/dev/null 2>&1
      fi`,
    );
    await chmod(script, 0o755);
    onTestFinished(async () => {
      const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
      if (pid === 0) return;
      signal(pid, 'SIGTERM');
      await until('HAProxy is gone', () => !isAlive(pid));
    });
    const commands = [
      ...['--haproxy-mode', 'command', '--check-command', `${haproxy} -c -f {file}`],
      ...['--reload-command', `${script} ${configFile(scenario)}`],
    ];
    return { commands, blocked };
  }

  test('it is started, reloaded, and adopted', async () => {
    const scenario = await startScenario('folder');
    const [a = '', c = ''] = await startApps('a', 'c');
    const { commands } = await service(scenario);
    await scenario.writeByHand('instances/web/a', a);
    const folder = await frameTemplate(scenario, (text) => text);
    const first = scenario.balancer(...commands, '--haproxy-templates', folder);
    await first.logged('serving');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const idle = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const answered = (response: IncomingMessage) =>
          response.resume().once('end', () => resolve(response.statusCode));
        get({ host: '127.0.0.1', port: scenario.http, agent, headers: { host } }, answered).once('error', reject);
      });
    expect(await idle('web')).toBe(200);
    await frameTemplate(scenario, other);
    await first.logged('reloaded', ({ reasons }) => JSON.stringify(reasons).includes('base configuration'));
    expect(await config(scenario)).toContain('dontlog-normal');
    // The worker of before the reload does not know this host, and passes the request on.
    await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['web', 'new.example.com'] }));
    await until('it is served', async () => (await scenario.ask('new.example.com')).status === 200);
    expect(await idle('new.example.com')).toBe(200);
    first.kill('SIGTERM');
    expect(await first.ended).toEqual({ code: 0, signal: null });
    expect(await scenario.answers('web')).toEqual(['a']);

    const second = scenario.balancer(...commands, '--haproxy-templates', folder);
    await second.logged('haproxy-adopted');
    await scenario.writeByHand('instances/web/c', c);
    await scenario.serves('web', ['a', 'c']);
    expect(second.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  });

  test('what the check refuses is named with its line, and changes nothing', async () => {
    const scenario = await startScenario('folder');
    const [a = ''] = await startApps('a');
    const { commands } = await service(scenario);
    await scenario.writeByHand('instances/web/a', a);
    const folder = await frameTemplate(scenario, (text) => text);
    const balancer = scenario.balancer(...commands, '--haproxy-templates', folder);
    await scenario.serves('web', ['a']);
    await frameTemplate(scenario, broken);
    const refused = await balancer.logged('config-refused');
    expect(refused.msg).toMatch(/haproxy\.cfg\.refused:\d+ .*frobnicate/);
    expect(await config(scenario)).not.toContain('frobnicate');
    expect(await scenario.answers('web')).toEqual(['a']);
  });

  test('a reload that fails is undone on disk, and tried again', async () => {
    const scenario = await startScenario('folder');
    const [a = ''] = await startApps('a');
    const { commands, blocked } = await service(scenario);
    await scenario.writeByHand('instances/web/a', a);
    const folder = await frameTemplate(scenario, (text) => text);
    const balancer = scenario.balancer(...commands, '--haproxy-templates', folder);
    await balancer.logged('serving');
    await writeFile(blocked, '');
    await frameTemplate(scenario, other);
    const failed = await balancer.logged('reload-failed');
    expect(failed.msg).toContain('it ended with 4: Access denied');
    expect(await config(scenario)).not.toContain('dontlog-normal');
    await unlink(blocked);
    await balancer.logged('reloaded', ({ reasons }) => JSON.stringify(reasons).includes('base configuration'));
    expect(await config(scenario)).toContain('dontlog-normal');
    expect(await scenario.answers('web')).toEqual(['a']);
  });
});

describe('settings that do not go together', () => {
  test.each([
    [['--haproxy-mode', 'command'], /--reload-command: it is missing/],
    [['--reload-command', 'true'], /--reload-command: it cannot be used with --haproxy-mode managed/],
    [['--haproxy-mode', 'command', '--reload-command', 'true', '--haproxy', 'x'], /--haproxy: it cannot be used with/],
    [['--check-command', 'haproxy -c'], /--check-command: .*has no \{file\}/],
  ])('%j', async (args, line) => {
    const { code, stderr } = await runPointsman(['balance', '--registry', 'dir:/nowhere', ...args]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: [expect.stringMatching(line)] });
  });
});
