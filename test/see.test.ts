import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { startApp, startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { fillEtcd } from './support/etcd-fill.ts';
import { isNightly } from './support/nightly.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('an operator sees what is served, and why something is not', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/web/b', JSON.stringify({ address: b, state: 'draining' }));
  await scenario.writeByHand('instances/web/broken', '10.0.0.1:port');
  // No process listens there.
  await scenario.writeByHand('instances/web/dead', '127.0.0.1:1');
  const balancer = scenario.balancer();
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const json = async (path: string) => JSON.parse((await scenario.askAdmin(path)).body);

  const explained = async (id: string) => json(`/explain/web/${id}`);
  expect(await explained('a')).toMatchObject({ verdict: 'served', because: 'it gets requests' });
  expect(await explained('b')).toMatchObject({ verdict: 'not served', because: expect.stringContaining('draining') });
  expect(await explained('broken')).toMatchObject({ verdict: 'not served', because: expect.stringContaining('port') });
  expect(await explained('nobody')).toMatchObject({ verdict: 'not served', because: 'the registry has no such key' });
  await until('HAProxy has found it dead', async () => (await explained('dead')).because.startsWith('DOWN'));
  const { findings } = await explained('dead');
  expect(findings).toContainEqual({ stage: 'health', state: 'bad', says: expect.stringContaining('L4CON') });
  expect((await scenario.askAdmin('/explain/web/no%0Aname')).status).toBe(400);

  const [web] = await json('/services');
  expect(web).toMatchObject({ name: 'web', instances: 3, ready: 2, up: 1, routes: ['web.*/', 'web/'] });
  expect(web.traffic.answers['2xx']).toBeGreaterThan(0);
  const detail = await json('/services/web');
  expect(
    detail.instancesById.map(
      ({ id, traffic }: { id: string; traffic: { status: string } }) => `${id} ${traffic.status}`,
    ),
  ).toEqual(['a UP', 'b UP', 'dead DOWN']);
  expect((await scenario.askAdmin('/services/api')).status).toBe(404);
});

test('what happened last is told, with the time that each stage took, to those who ask and to those who listen', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  // The log on standard error does not matter.
  scenario.balancer('--log-level', 'error');
  await scenario.serves('web', ['a']);

  let heard = '';
  const listening = request({ host: '127.0.0.1', port: scenario.admin, path: '/events/stream' });
  await new Promise<void>((resolve, reject) => {
    listening.on('error', reject).on('response', (response) => {
      response
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          heard += chunk.toString();
        });
      resolve();
    });
    listening.end();
  });
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);

  const applied = await until('the change is told', async () => {
    const events = JSON.parse((await scenario.askAdmin('/events?most=500')).body);
    return events.find(({ what }: { what?: readonly string[] }) =>
      what?.some((one) => one.startsWith('add server web/b ')),
    );
  });
  expect(applied).toMatchObject({ event: 'applied', revision: expect.stringMatching(/^\d+$/) });
  expect(Object.keys(applied.stages)).toEqual(['wait', 'render', 'command']);
  await until('the listener heard it', () => heard.includes('add server web/b'));
  const after = JSON.parse((await scenario.askAdmin(`/events?after=${applied.id - 1}&most=1`)).body);
  expect(after).toHaveLength(1);
  listening.destroy();
});

test.each(isNightly ? (['folder', 'etcd'] as const) : (['etcd'] as const))(
  'status, explain and events say it on a command line (%s)',
  async (kind) => {
    const scenario = await startScenario(kind);
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/a', a);
    await scenario.writeByHand('instances/web/broken', 'nonsense');
    await scenario.balancer('--id', 'b1').logged('serving');
    await scenario.serves('web', ['a']);
    const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
    const pointsman = (...args: readonly string[]) => runPointsman([...args, ...where]);

    const status = await pointsman('status');
    expect(status.code).toBe(0);
    const text = status.stdout.join('\n');
    expect(text).toMatch(/^b1 +\d+ +0 +\S+ +serving$/m);
    expect(text).toMatch(/^web +1 +1 +1 +web, web\.\* +default policy$/m);
    expect(text.match(/instances\/web\/broken: /g)).toHaveLength(1);
    const [json = ''] = (await pointsman('status', '--json')).stdout;
    expect(JSON.parse(json)).toMatchObject({
      balancers: [{ id: 'b1', up: { web: 1 } }],
      services: [{ name: 'web', ready: 1 }],
    });

    const service = await pointsman('status', 'web');
    expect(service.stdout.join('\n')).toMatch(/^INSTANCE +ADDRESS +STATE +WEIGHT +ON b1$/m);
    expect(service.stdout.join('\n')).toMatch(/^a +127\.0\.0\.1:\d+ +ready +100 +UP for \S+$/m);
    const [one = ''] = (await pointsman('status', 'web', '--json')).stdout;
    expect(JSON.parse(one)).toMatchObject({
      instances: [{ id: 'a', haproxy: { b1: expect.stringMatching(/^UP for/) } }],
    });
    expect((await pointsman('status', 'no/service')).code).toBe(2);
    for (const command of ['status', 'release', 'drain', 'undrain', 'pause', 'resume', 'clear', 'pin'])
      expect((await runPointsman([command, 'nope', ...where.slice(0, 2)])).code, command).toBe(1);
    const mistyped = await pointsman('status', 'wep');
    expect(mistyped.stderr.join()).toContain('no service wep is known (did you mean web?)');
    for (const command of ['drain', 'undrain', 'clear', 'explain'])
      expect((await runPointsman([command, 'web/nope', ...where.slice(0, 2)])).code, command).toBe(1);

    const good = await pointsman('explain', 'web/a');
    expect(good.stdout[0]).toBe('b1: web/a is served: it gets requests');
    expect(good.code).toBe(0);
    const bad = await pointsman('explain', 'web/broken');
    expect(bad.stdout[0]).toContain('b1: web/broken is not served: ');
    expect(bad.code).toBe(1);
    expect((await pointsman('explain', 'web')).code).toBe(2);

    await scenario.writeByHand('services/web', '{"balance":"leastconn"}');
    await runPointsman(['drain', 'web/a', '--why', 'kernel update', ...where.slice(0, 2)]);
    await until('it is over there', async () => (await scenario.ask('web')).status === 503);
    const events = await pointsman('events');
    expect(events.stderr).toEqual([]);
    expect(events.stdout.join('\n')).toContain('override-applied  web/a: drain');
    expect(events.stdout.join('\n')).toContain('kernel update');
    expect(events.stdout.join('\n')).toContain('the settings of service web changed');
    expect(events.stdout.join('\n')).toMatch(
      /applied {2}HAProxy serves revision \d+ after .*\(wait .*, render .*, command .*\)/,
    );
    expect(events.stdout.join('\n')).toContain('entry-rejected  web/broken');
  },
);

test('what somebody else made HAProxy run is healed, on disk too, and status tells of it afterwards', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/web/b', b);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a', 'b']);
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const [before = ''] = (await runPointsman(['status', '--json', ...where])).stdout;
  expect(JSON.parse(before).balancers[0].health.drift).toBeUndefined();

  const config = join(scenario.balancerDir, 'haproxy.cfg');
  const whole = await until('both are on disk', async () => {
    const text = await readFile(config, 'utf8');
    return text.includes('server a ') && text.includes('server b ') ? text : undefined;
  });
  await writeFile(config, whole.replace(/^ *server b .*\n/m, ''));
  const processes = await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 5000);
  process.kill(processes?.masterPid ?? 0, 'SIGUSR2');

  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('web/b is missing'));
  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('another program changed'));
  await scenario.serves('web', ['a', 'b']);
  await until('the file is whole again', async () => (await readFile(config, 'utf8')).includes('server b '));
  const status = await runPointsman(['status', ...where]);
  expect(status.stdout.join('\n')).toMatch(
    /b1: HAProxy ran something else .* ago \(1 difference, healed; \d times in 15 minutes\): /,
  );
  const [after = ''] = (await runPointsman(['status', '--json', ...where])).stdout;
  expect(JSON.parse(after).balancers[0].health.drift).toMatchObject({ times: expect.any(Number) });
});

test('each request is a line of the one log, when that is asked for', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--access-log', 'on');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  await scenario.ask('web', '/a"b?q=%22\\c');
  const line = await balancer.logged('request', ({ path }) => String(path).startsWith('/a'));
  expect(line).toMatchObject({
    service: 'web',
    instance: 'a',
    method: 'GET',
    host: 'web',
    path: '/a"b?q=%22\\c',
    status: 200,
  });
  expect(line['requestId']).toMatch(/^[0-9a-f-]{36}$/);
  // A long host leaves room for the path: the log has only the beginning of a refused host.
  await scenario.ask('\\'.repeat(8000), '/long');
  const refused = await balancer.logged('request', ({ path }) => path === '/long');
  expect(refused).toMatchObject({ host: '\\'.repeat(255), status: 400 });
  const events = (await scenario.askAdmin('/events?most=500')).body;
  expect(events).not.toContain('"event":"request"');
});

test('instances that HAProxy finds down and up again are events, and every event says something', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  const app = await startApp('c', (_, response) => response.end('c'));
  for (const [id, address] of Object.entries({ a, b, c: app.address })) {
    await scenario.writeByHand(`instances/web/${id}`, address);
  }
  await scenario.writeByHand('services/web', JSON.stringify({ check: { kind: 'tcp', interval: '200ms' } }));
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a', 'b', 'c']);
  await app.close();
  const down = await balancer.logged('server-down');
  expect(down).toMatchObject({ level: 'warn', key: 'instances/web/c', reason: expect.stringContaining('refused') });
  const again = await startApp('c', (_, response) => response.end('c'), Number(app.address.split(':')[1]));
  onTestFinished(() => again.close());
  await balancer.logged('server-up', ({ key }) => key === 'instances/web/c');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const { stdout } = await runPointsman(['events', ...where]);
  expect(stdout.join('\n')).toMatch(/server-down +web\/c is down: connection refused/);
  expect(stdout.join('\n')).toMatch(/server-up +web\/c is up again/);
  for (const line of stdout.filter((one) => /^\d\d:/.test(one))) expect(line).toMatch(/^\S+ (WARN )?\S+ {2}\S/);
  expect(stdout.join('\n')).not.toContain('HAProxy says');
});

test('explain names the split that gives an instance nothing', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', JSON.stringify({ address: a, version: 'v1' }));
  await scenario.writeByHand('instances/web/b', JSON.stringify({ address: b, version: 'v2' }));
  await scenario.writeByHand('services/web', '{"split":{"v1":100}}');
  await scenario.balancer('--id', 'b1').logged('serving');
  await scenario.serves('web', ['a']);
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const { code, stdout } = await runPointsman(['explain', 'web/b', ...where]);
  expect(stdout[0]).toContain("b1: web/b is not served: the policy's split gives version v2 no requests");
  expect(code).toBe(1);
});

test('explain tells of an entry that is refused, although many thousands are', async () => {
  const { location, balancerNamed, etcd, acknowledged } = await startBalancers('etcd');
  const balancer = await balancerNamed('lb-1');
  const entry = (id: string) => [`/pointsman/instances/evil/${id}`, 'nonsense'] as const;
  const all = Array.from({ length: 12_000 }, (_, i) => entry(`i${i}`));
  const last = await fillEtcd(etcd?.endpoints ?? [], [...all, ['/pointsman/instances/web/x', '10.0.0.1:port']]);
  await acknowledged('lb-1', 'the last one', (said) => said.revision >= last);
  const where = ['--registry', location, '--admin', `127.0.0.1:${balancer.admin}`];
  const { stdout } = await runPointsman(['explain', 'web/x', ...where]);
  expect(stdout[0]).toContain('"port" is not a port');
  const nobody = await runPointsman(['explain', 'web/y', ...where]);
  expect(nobody.stdout[0]).toContain('the registry has no such key');
});
