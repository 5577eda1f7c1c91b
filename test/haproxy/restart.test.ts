import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { startSteadyLoad } from '../../bench/steady-load.ts';
import { readProcesses } from '../../src/haproxy/master.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { isNightly } from '../support/nightly.ts';
import { processes } from '../support/proc.ts';
import type { PointsmanProcess } from '../support/processes.ts';
import { randomFrom } from '../support/random.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

type Scenario = Awaited<ReturnType<typeof startScenario>>;

/** An application that answers /slow after 2 s and /held never, behind a balancer that clients ask all the time. */
async function startUnderLoad() {
  const scenario = await startScenario('etcd');
  const app = await startApp('app', (req, res) => {
    if (req.url !== '/held') setTimeout(() => res.end('app'), req.url === '/slow' ? 2000 : 0);
  });
  onTestFinished(() => app.close());
  await scenario.writeByHand('services/web', '{"balance":"leastconn"}');
  await scenario.writeByHand('instances/web/web-1', app.address);
  const start = (...more: readonly string[]) => scenario.balancer('--haproxy', haproxyBin, ...more);
  const first = start();
  await scenario.serves('web', ['app']);
  await first.logged('serving');
  const load = startSteadyLoad({ ports: [scenario.http], host: 'web', keepAlive: 3, fresh: 3, slow: 1, everyMs: 5 });
  onTestFinished(async () => {
    await load.stop();
  });
  const more = async (count = 50) => {
    const { answered } = load.result();
    await until(`${count} more requests are answered`, () => load.result().answered >= answered + count);
  };
  return { scenario, app, start, first, load, more };
}

const masterOf = async ({ balancerDir }: Scenario) =>
  (await readProcesses(join(balancerDir, 'run/master.sock'), 5000))?.masterPid;

const haproxiesOf = ({ balancerDir }: Scenario) =>
  processes().filter(({ command }) => command.includes(join(balancerDir, 'run/master.sock')));

async function end(balancer: PointsmanProcess, signal: NodeJS.Signals): Promise<void> {
  balancer.kill(signal);
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
}

describe('a planned restart of pointsman', () => {
  test.each([
    ['SIGUSR2', []],
    ['SIGTERM', ['--on-stop', 'leave']],
  ] as const)('by %s %s loses no request, and HAProxy is not reloaded', async (name, settings) => {
    const { scenario, start, first, load, more } = await startUnderLoad();
    await end(first, 'SIGUSR2');
    const master = await masterOf(scenario);
    let balancer = start(...settings);
    for (let round = 0; round < (isNightly ? 3 : 2); round += 1) {
      await balancer.logged('serving');
      await more();
      await end(balancer, name);
      await more();
      balancer = start(...settings);
    }
    await balancer.logged('haproxy-adopted');
    await more();
    const { failed, reasons } = await load.stop();
    expect({ failed, reasons }).toEqual({ failed: 0, reasons: [] });
    expect(await masterOf(scenario)).toBe(master);
    expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  });

  test('while etcd is away loses no request, and what is on disk is served at once', async () => {
    const { scenario, start, first, load, more } = await startUnderLoad();
    for (const member of scenario.etcd?.members ?? []) await member.stop();
    await first.logged('registry-disconnected');
    const began = performance.now();
    await end(first, 'SIGUSR2');
    const endedMs = performance.now() - began;
    const second = start();
    await second.logged('haproxy-adopted');
    await second.logged('serving');
    await more();
    const { failed, reasons } = await load.stop();
    expect({ failed, reasons }).toEqual({ failed: 0, reasons: [] });
    expect(endedMs).toBeLessThan(2000);
    expect((await scenario.askAdmin('/readyz')).status).toBe(200);
  });

  test('goes on with the access log where the one before ended', async () => {
    const { scenario, start, first, load } = await startUnderLoad();
    await load.stop();
    await end(first, 'SIGTERM');
    const second = start('--access-log', 'on');
    await second.logged('serving');
    await scenario.serves('web', ['app']);
    await second.logged('request');
    let balancer = second;
    for (const signal of ['SIGUSR2', 'SIGKILL'] as const) {
      balancer.kill(signal);
      await balancer.ended;
      // No pointsman runs that could read the line of this request.
      await ask(scenario.http, 'web', '/unheard');
      balancer = start('--access-log', 'on');
      await balancer.logged('haproxy-adopted');
      await balancer.logged('serving');
      for (let i = 0; i < 50; i += 1) expect((await ask(scenario.http, 'web', `/${signal}/${i}`)).status).toBe(200);
      const heard = ({ event, path }: { event: string; path?: unknown }) =>
        event === 'request' && String(path).startsWith(`/${signal}/`);
      await until('all are logged', () => balancer.log.filter(heard).length === 50);
    }
  });

  test('with settings that it cannot start with leaves HAProxy serving', async () => {
    const { scenario, start, first, load, more } = await startUnderLoad();
    await end(first, 'SIGUSR2');
    const templates = join(scenario.dir, 'templates');
    await mkdir(templates);
    await writeFile(join(templates, 'haproxy.cfg.mustache'), '{{#open}}');
    const takenPort = Number(new URL(`http://${scenario.etcd?.endpoints[0]}`).port);
    for (const wrong of [
      ['--haproxy-templates', templates],
      ['--admin', `127.0.0.1:${takenPort}`],
      ['--haproxy', '/nowhere/haproxy'],
    ]) {
      const second = start(...wrong);
      expect((await second.ended).code).toBeGreaterThan(0);
      await more();
    }
    const third = start();
    await third.logged('haproxy-adopted');
    const { failed, reasons } = await load.stop();
    expect({ failed, reasons }).toEqual({ failed: 0, reasons: [] });
  });

  test('keeps its key, so that whoever leaves in between waits for this balancer', async () => {
    const { scenario, start, first } = await startUnderLoad();
    const keys = async () =>
      (await scenario.etcd?.ctl('get', '--prefix', '--keys-only', '/pointsman/balancers/')) ?? '';
    await until('it acknowledges', async () => (await keys()).includes('/balancers/'));
    await end(first, 'SIGUSR2');
    expect(await keys()).toContain('/balancers/');
    const second = start();
    await second.logged('serving');
    await until(
      'it acknowledges again',
      async () => JSON.parse((await scenario.askAdmin('/status')).body).acknowledging.state === 'acknowledging',
    );
    expect(second.log.filter(({ event }) => event === 'not-acknowledging')).toEqual([]);
    await end(second, 'SIGTERM');
    expect(await keys()).not.toContain('/balancers/');
  });
});

describe('a planned stop', () => {
  test('lets requests in flight finish, takes no new ones, and leaves no process', async () => {
    const { scenario, first, load, more } = await startUnderLoad();
    await more();
    await load.stop();
    const open = ask(scenario.http, 'web', '/slow', { deadlineMs: 20_000 });
    await pause(200);
    first.kill('SIGTERM');
    expect(await open).toEqual({ status: 200, body: 'app' });
    expect(await first.ended).toEqual({ code: 0, signal: null });
    await expect(scenario.ask('web')).rejects.toThrow('ECONNREFUSED');
    expect(haproxiesOf(scenario)).toEqual([]);
  });

  test('takes no longer than it may, and a second signal ends it at once', async () => {
    const { scenario, start, first } = await startUnderLoad();
    await end(first, 'SIGUSR2');
    const second = start('--stop-timeout', '1h');
    await second.logged('serving');
    const held = ask(scenario.http, 'web', '/held', { deadlineMs: 60_000 }).catch((error: unknown) => error);
    await pause(200);
    second.kill('SIGTERM');
    await second.logged('stopping');
    await pause(500);
    expect(second.running).toBe(true);
    second.kill('SIGTERM');
    expect(await second.ended).toEqual({ code: 0, signal: null });
    expect(await held).toBeInstanceOf(Error);
    expect(haproxiesOf(scenario)).toEqual([]);
  });
});

/** Policies that change all the time, each of which takes a check and a reload, and one that HAProxy refuses. */
function changing({ writeByHand }: Pick<Scenario, 'writeByHand'>) {
  let stopping = false;
  const run = async () => {
    for (let i = 0; !stopping; i += 1) {
      await writeByHand('services/other', `{"timeouts":{"server":"${10 + (i % 50)}s"}}`);
      await writeByHand('services/bad', `{"hosts":["bad-${i}.example"],"tls":{"ca":"none-${i}.pem"}}`);
      await pause(20);
    }
  };
  const running = run();
  return async () => {
    stopping = true;
    await running;
  };
}

/** An HAProxy whose checks take as long as those of a large configuration, so that most moments are in one. */
async function slowToCheck({ dir }: Scenario): Promise<string> {
  const file = join(dir, 'haproxy');
  await writeFile(file, `#!/bin/sh\nif [ "$1" = -c ]; then sleep 0.2; fi\nexec ${haproxyBin} "$@"\n`, { mode: 0o755 });
  return file;
}

describe('at any moment', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  /** How many moments each test tries: MOMENTS=50 for a long look. */
  const moments = Number(process.env['MOMENTS'] ?? (isNightly ? 6 : 3));

  test('SIGTERM is a clean end: no error, and no process is left', { timeout: 240_000 }, async () => {
    onTestFailed(() => void process.stderr.write(`SEED=${seed}\n`));
    const random = randomFrom(seed);
    const scenario = await startScenario('etcd');
    await scenario.writeByHand('instances/web/web-1', '127.0.0.1:1');
    await scenario.writeByHand('instances/other/o-1', '127.0.0.1:1');
    await scenario.writeByHand('instances/bad/b-1', '127.0.0.1:1');
    const stopChanging = changing(scenario);
    onTestFinished(stopChanging);
    const executable = await slowToCheck(scenario);
    for (let round = 0; round < moments; round += 1) {
      const balancer = scenario.balancer('--haproxy', executable, '--stop-timeout', '100ms');
      // From before it listens to signals until well after it serves.
      await until('it has begun', () => balancer.stderr.length > 0);
      await pause(random() * 1500);
      balancer.kill('SIGTERM');
      const ended = await balancer.ended;
      expect({ round, seed, ...ended }).toEqual({ round, seed, code: 0, signal: null });
      expect(haproxiesOf(scenario)).toEqual([]);
      expect(balancer.stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
    }
  });

  test('SIGUSR2 and a new start lose no request', { timeout: 240_000 }, async () => {
    onTestFailed(() => void process.stderr.write(`SEED=${seed}\n`));
    const random = randomFrom(seed);
    const { scenario, start, first, load, more } = await startUnderLoad();
    await scenario.writeByHand('instances/other/o-1', '127.0.0.1:1');
    await scenario.writeByHand('instances/bad/b-1', '127.0.0.1:1');
    const stopChanging = changing(scenario);
    onTestFinished(stopChanging);
    let balancer = first;
    for (let round = 0; round < moments; round += 1) {
      await pause(random() * 1000);
      await end(balancer, 'SIGUSR2');
      balancer = start();
      await balancer.logged('haproxy-adopted');
    }
    await stopChanging();
    await balancer.logged('serving');
    await more();
    const { failed, reasons } = await load.stop();
    expect({ failed, reasons }).toEqual({ failed: 0, reasons: [] });
  });
});
