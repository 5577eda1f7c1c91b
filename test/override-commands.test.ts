import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { type RegistryKind, startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

async function start(kind: RegistryKind, ...names: readonly string[]) {
  const scenario = await startScenario(kind);
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  for (const { name, address } of apps) await scenario.writeByHand(`instances/web/${name}`, address);
  const run = (...args: readonly string[]) =>
    runPointsman([...args, '--registry', scenario.location], { env: { SUDO_USER: 'ada' } });
  return { scenario, run };
}

describe.each(['folder', 'etcd'] as const)('an operator, with the registry in %s', (kind) => {
  test('drains, weighs, takes out, lists and ends it', async () => {
    const { run, scenario } = await start(kind, 'a', 'b');
    const running = scenario.balancer();
    await scenario.serves('web', ['a', 'b']);

    const drained = await run('drain', 'web/a', '--for', '10m', '--why', 'new disk');
    expect(drained).toMatchObject({ code: 0, stderr: [] });
    expect(drained.stdout[0]).toMatch(
      /^web\/a: no new requests, open ones go on, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(10m\)$/,
    );
    expect(drained.stdout.slice(1)).toEqual([
      '1 of 2 instances of web take new requests; applied by 1 balancer',
      expect.stringMatching(/^to end it: pointsman undrain web\/a {3}\(revision \d+\)$/),
    ]);
    await scenario.serves('web', ['b']);
    const { overrides } = JSON.parse((await scenario.askAdmin('/status')).body);
    expect(overrides).toMatchObject([
      { service: 'web', instance: 'a', kind: 'drain', why: 'new disk', who: expect.stringMatching(/^ada@/) },
    ]);
    expect(overrides[0].endsInMs).toBeGreaterThan(500_000);
    expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_overrides{kind="drain"} 1');
    expect((await running.logged('override-applied'))['who']).toBe(overrides[0].who);

    const all = await run('maintenance', 'web');
    expect(all.stderr).toEqual([
      'warning: web/a keeps its own override: drain',
      'warning: no instance of web is left: HAProxy answers its requests with 503 and the maintenance page',
    ]);
    await until('the page is served', async () => (await scenario.ask('web')).body.includes('Back soon'));

    const list = await run('overrides', '--json');
    expect(JSON.parse(list.stdout.join(''))).toMatchObject({
      overrides: [
        { service: 'web', instance: '*', kind: 'maintenance', waits: false },
        { service: 'web', instance: 'a', kind: 'drain', waits: false },
      ],
      rejected: [],
    });
    const table = (await run('overrides')).stdout;
    expect(table[0]).toMatch(/^INSTANCE +OVERRIDE +TIME +BY +WHY$/);
    expect(table[2]).toMatch(/^web\/a +drain +9m \d+s left +ada@\S+ +new disk$/);

    const ended = await run('clear', 'web', '--json');
    expect(JSON.parse(ended.stdout.join(''))).toMatchObject({
      service: 'web',
      instance: '*',
      ended: { kind: 'maintenance' },
      warnings: ['web/a keeps its own override: drain'],
    });
    await scenario.serves('web', ['b']);
    expect((await run('undrain', 'web/a')).stdout[0]).toMatch(/^web\/a: drain by ada@\S+ \(new disk\) is ended/);
    await scenario.serves('web', ['a', 'b']);

    const weighed = await run('weight', 'web/a', '0', '--json');
    expect(JSON.parse(weighed.stdout.join(''))).toMatchObject({ instance: 'a', weight: 0, instances: 2, ready: 1 });
    await scenario.serves('web', ['b']);
    expect(running.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  });
});

test('an operator pauses a service while all of it is swapped, and resumes it', async () => {
  const { run, scenario } = await start('etcd', 'a');
  const running = scenario.balancer();
  await scenario.serves('web', ['a']);
  const paused = await run('pause', 'web', '--for', '2m', '--why', 'swap');
  expect(paused).toMatchObject({ code: 0, stderr: [] });
  expect(paused.stdout).toEqual([
    expect.stringMatching(/^web \(1 instance\): requests wait, until \S+ \(2m\)$/),
    'no instance of web takes new requests until then; applied by 1 balancer',
    expect.stringMatching(/^to end it: pointsman resume web {3}\(revision \d+\)$/),
  ]);
  await running.logged('override-applied', ({ kind }) => kind === 'pause');
  const waiting = scenario.ask('web');
  expect((await run('undrain', 'web')).stderr.join()).toContain('web is not drained: pause by ada@');
  expect((await run('resume', 'web')).stdout[0]).toMatch(/^web: pause by ada@\S+ \(swap\) is ended/);
  expect(await waiting).toEqual({ status: 200, body: 'a' });
  expect((await run('pause', 'web/a')).stderr.join()).toContain('only a whole service can be paused');
  expect(running.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
});

test('an operator is told when an HAProxy without Lua pauses nothing', async () => {
  const { run, scenario } = await start('folder', 'a');
  const templates = join(scenario.dir, 'templates');
  await mkdir(templates);
  const shipped = await readFile(join(import.meta.dirname, '../templates/haproxy.cfg.mustache'), 'utf8');
  await writeFile(join(templates, 'haproxy.cfg.mustache'), shipped.replaceAll('feature(LUA)', 'feature(NONE)'));
  const balancer = scenario.balancer('--haproxy-templates', templates);
  await scenario.serves('web', ['a']);
  const reason = 'this HAProxy has no Lua (haproxy -vv), so it cannot let requests wait';
  const { code, stderr } = await run('pause', 'web', '--for', '5m', '--wait', '1s');
  expect(code).toBe(1);
  expect(stderr.at(-1)).toContain(`the override is written, but not complete after 1s: `);
  expect(stderr.at(-1)).toContain(reason);
  expect(await balancer.logged('override-applied')).toMatchObject({ level: 'error', reason });
  expect(await scenario.ask('web')).toEqual({ status: 200, body: 'a' });
});

test('an operator is told when there is nothing to override or to end, and nothing is written', async () => {
  const { run } = await start('folder', 'web-1');
  const refusals = [
    [['drain', 'wbe'], 'no service wbe is known'],
    [['drain', 'web/web-2'], 'web has no instance web-2 (did you mean web/web-1?'],
    [['undrain', 'web/web-1'], 'no override of web/web-1'],
    [['clear', 'web'], 'no override of web'],
  ] as const;
  for (const [args, message] of refusals) {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: [], stderr: [expect.stringContaining(message)] });
  }
  expect((await run('overrides')).stdout).toEqual(['no overrides']);

  const forced = await run('drain', 'web/web-2', '--force', '--for', '1h');
  expect(forced).toMatchObject({
    code: 0,
    stderr: [
      'warning: web has no instance web-2; the override waits for one',
      'warning: no balancer is alive; the override applies when one starts',
    ],
  });
  expect((await run('overrides')).stdout[1]).toContain('waits: there is no such instance');
  const wrong = await run('weight', 'web/web-2', '5', '--force');
  expect(wrong.stderr).toContainEqual(expect.stringMatching(/^warning: this replaces drain by ada@/));
  const { code, stderr } = await run('undrain', 'web/web-2');
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: [expect.stringContaining('is not drained: weight 5 by ada@')],
  });
});

test.each([
  [['drain'], "missing required argument 'service[/instance]'"],
  [['drain', 'we b'], '"we b" is not a service name'],
  [['drain', 'web/a/b'], '"a/b" is not an instance id'],
  [['weight', 'web'], "missing required argument 'weight'"],
  [['weight', 'web', '257'], '"257" is not a whole number from 0 to 256'],
  [['drain', 'web', '--for', '10'], '--for: "10" is not a duration'],
  [['drain', 'web', '--for', '31d'], '--for: 31d is not from 1s to 30d'],
  [['drain', 'web', '--why', 'a\nb'], '--why: it has a control character'],
])('%j is a wrong call', async (args, message) => {
  const { code, stderr } = await runPointsman([...args, '--registry', 'dir:/nowhere']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: [expect.stringContaining(message)] });
});

test('an override ends by itself, and etcd does not have to be there for it', async () => {
  const { run, scenario } = await start('etcd', 'a', 'b');
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a', 'b']);
  expect((await run('drain', 'web/a', '--for', '5s')).code).toBe(0);
  await scenario.serves('web', ['b']);
  await scenario.etcd?.members[0]?.stop();
  await balancer.logged('registry-disconnected');
  expect(await balancer.logged('override-ended')).toMatchObject({ instance: 'a', reason: 'expired' });
  await scenario.serves('web', ['a', 'b']);
});

test('an override outlives a balancer, and its end does, too', async () => {
  const { run, scenario } = await start('etcd', 'a', 'b');
  const first = scenario.balancer();
  await scenario.serves('web', ['a', 'b']);
  expect((await run('drain', 'web/a', '--for', '8s')).code).toBe(0);
  expect((await run('maintenance', 'web/b', '--for', '1h')).code).toBe(0);
  await first.logged('override-applied', ({ kind }) => kind === 'maintenance');
  await scenario.etcd?.members[0]?.stop();
  first.kill('SIGTERM');
  await first.ended;

  const second = scenario.balancer();
  await second.logged('override-ended', ({ instance }) => instance === 'a');
  await scenario.serves('web', ['a']);
  await second.logged('override-applied', ({ instance, kind }) => instance === 'b' && kind === 'maintenance');
});

describe('with --wait, an operator', () => {
  test('is told when no request is open any more, or what still is', async () => {
    const balancers = await startBalancers('etcd');
    let finish: (() => void) | undefined;
    const app = await startApp('a', (req, res) => {
      if (req.url === '/slow') finish = () => res.end('slow');
      else res.end('a');
    });
    const other = await startApp('b');
    onTestFinished(async () => {
      await Promise.all([app.close(), other.close()]);
    });
    await balancers.writeByHand('instances/web/a', app.address);
    await balancers.writeByHand('instances/web/b', other.address);
    await balancers.writeByHand('services/web', '{"balance":"leastconn"}');
    const [one, two] = [await balancers.balancerNamed('b1'), await balancers.balancerNamed('b2')];
    for (const { ask, id } of [one, two]) {
      await until(`${id} serves`, async () => (await ask('web')).status === 200, { deadlineMs: 20_000 });
      await balancers.acknowledged(id, 'something', () => true);
    }
    const run = (...args: readonly string[]) => runPointsman([...args, '--registry', balancers.location]);
    // Only a is ready, so that it gets the slow request.
    expect((await run('maintenance', 'web/b', '--wait', '20s')).code).toBe(0);
    const slow = one.ask('web', '/slow');
    const answer = await until('a has it', () => finish);

    const impatient = await run('drain', 'web/a', '--wait', '1s');
    expect(impatient.code).toBe(1);
    expect(impatient.stdout[0]).toContain('web/a: no new requests');
    expect(impatient.stderr.at(-1)).toMatch(
      /web\/a: the override is written, but not complete after 1s: b1 has 1 open request$/,
    );
    const patient = startPointsman(['drain', 'web/a', '--wait', '40s', '--json', '--registry', balancers.location]);
    await until('it is replaced', async () =>
      (await one.status()).overrides.some((override: { instance: string; at: string }) => override.instance === 'a'),
    );
    answer();
    expect(await slow).toEqual({ status: 200, body: 'slow' });
    expect((await patient.ended).code).toBe(0);
    expect(JSON.parse(patient.stdout.join(''))).toMatchObject({ balancers: ['b1', 'b2'], missing: [], ready: 0 });
    // A weight has nobody's requests to wait for; one of 0 is a drain.
    const weighed = await run('weight', 'web/b', '0', '--wait', '20s', '--json');
    expect(JSON.parse(weighed.stdout.join(''))).toMatchObject({ balancers: ['b1', 'b2'], missing: [] });
    const back = await run('weight', 'web/a', '7', '--wait', '20s', '--json');
    expect(JSON.parse(back.stdout.join(''))).toMatchObject({ balancers: ['b1', 'b2'], missing: [], ready: 1 });
  });
});
