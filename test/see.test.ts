import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { countFaults, faultsOf } from '../src/haproxy/known-faults.ts';
import { readProcesses } from '../src/haproxy/master.ts';
import { startApp, startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { startEtcd } from './support/etcd.ts';
import { fillEtcd } from './support/etcd-fill.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('an operator sees what is served, and why something is not', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/web/b', JSON.stringify({ address: b, state: 'draining' }));
  await scenario.writeByHand('instances/web/broken', '10.0.0.1:port');
  // Nobody listens there.
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
  // What is logged to standard error does not matter.
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

test.each(process.env['MATRIX'] === 'whole' ? (['folder', 'etcd'] as const) : (['etcd'] as const))(
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
    expect(service.stdout.join('\n')).toMatch(/^INSTANCE +ADDRESS +STATE +WEIGHT +VERSION +ZONE +ON b1$/m);
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
    expect(events.stdout.join('\n')).toContain('override-applied web/a: drain');
    expect(events.stdout.join('\n')).toContain('kernel update');
    expect(events.stdout.join('\n')).toContain('the settings of service web changed');
    expect(events.stdout.join('\n')).toMatch(/applied revision \d+ .*\(wait .*, render .*, command .*\)/);
    expect(events.stdout.join('\n')).toContain('instances/web/broken');
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
  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('somebody else changed'));
  await scenario.serves('web', ['a', 'b']);
  await until('the file is whole again', async () => (await readFile(config, 'utf8')).includes('server b '));
  const status = await runPointsman(['status', ...where]);
  expect(status.stdout.join('\n')).toMatch(
    /b1: HAProxy ran something else .* ago \(1 difference, healed; \d times in 15 minutes\): /,
  );
  const [after = ''] = (await runPointsman(['status', '--json', ...where])).stdout;
  expect(JSON.parse(after).balancers[0].health.drift).toMatchObject({ times: expect.any(Number) });
});

test('while the registry is away the balancer of this machine is asked, and says once why', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const [member] = scenario.etcd?.members ?? [];
  await member?.stop();
  await balancer.logged('registry-disconnected');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];

  const status = await runPointsman(['status', 'web', ...where]);
  const text = status.stdout.join('\n');
  expect(text).toContain('does not answer');
  expect(text).toMatch(/^b1 .* serving what it knew .* ago: /m);
  expect(text).toMatch(/^web +1 +1 +1 /m);
  expect(text).toMatch(/^a +127\.0\.0\.1:\d+ +ready .* UP for /m);
  expect(text).toContain('the services are as b1 serves them');
  expect({ code: status.code, stderr: status.stderr }).toEqual({ code: 1, stderr: [] });
  expect((await runPointsman(['explain', 'web/a', ...where])).stdout[0]).toBe('b1: web/a is served: it gets requests');
  expect((await runPointsman(['events', ...where])).stdout.join('\n')).toContain('registry-disconnected');
  const reasons = balancer.log.filter(({ event }) => event === 'registry-disconnected').map(({ reason }) => reason);
  expect(reasons.filter((reason, i) => reason === reasons[i - 1])).toEqual([]);
});

test('status names an admin port that does not answer, and is silent of one that only another machine reaches', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const said = await until('it acknowledges', async () => {
    const text = await scenario.etcd?.ctl('get', '/pointsman/balancers/b1', '--print-value-only');
    return text === '' ? undefined : text;
  });
  const admin = `127.0.0.1:${scenario.admin}`;
  const trouble = async (local: string): Promise<readonly string[]> => {
    const where = ['--registry', scenario.location, '--admin', local];
    return JSON.parse((await runPointsman(['status', '--json', ...where])).stdout.join('')).trouble;
  };
  const { admin: _, ...own } = JSON.parse(said);
  const [nobody = 0] = await freePorts(1);
  // These are of other machines: one whose port is not reached from others, and one whose port nobody answers on.
  const lease = /lease (\w+)/.exec((await scenario.etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
  const say = (id: string, at: string) =>
    scenario.etcd?.ctl(
      ...['put', `/pointsman/balancers/${id}`, JSON.stringify({ ...own, owner: id, admin: at }), `--lease=${lease}`],
    );
  await say('far', `127.0.0.1:${nobody}`);
  await say('gone', `no.invalid:${nobody}`);
  const gone = expect.stringMatching(
    new RegExp(`^gone: its admin port no\\.invalid:${nobody} does not answer: .*no\\.invalid`),
  );
  expect(await trouble(admin)).toEqual([gone]);

  balancer.kill('SIGSTOP');
  const silent = `the admin port of this machine, ${admin}, does not answer: no answer within 2s`;
  expect(await trouble(admin)).toEqual([gone, silent]);
  // Another port, where no balancer runs, is nobody's trouble.
  expect(await trouble(`127.0.0.1:${nobody}`)).toEqual([gone]);
  balancer.kill('SIGCONT');
  await until('it answers again', async () => (await trouble(admin)).length === 1);
});

test('without a balancer the registry is shown, and that nobody serves it', async () => {
  const scenario = await startScenario('folder');
  await scenario.writeByHand('instances/web/a', '10.0.0.1:80');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const status = await runPointsman(['status', ...where]);
  expect(status.stdout.join('\n')).toContain('no balancer is known to the registry');
  expect(status.stdout.join('\n')).toMatch(/^web +1 +1 +- /m);
  const explained = await runPointsman(['explain', 'web/a', ...where]);
  expect(explained.code).toBe(1);
  expect(explained.stderr.join()).toContain('no balancer is known');
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
  // What a client sends leaves room for the path: of a host that is refused, only the beginning is told.
  await scenario.ask('\\'.repeat(8000), '/long');
  const refused = await balancer.logged('request', ({ path }) => path === '/long');
  expect(refused).toMatchObject({ host: '\\'.repeat(255), status: 400 });
  const events = (await scenario.askAdmin('/events?most=500')).body;
  expect(events).not.toContain('"event":"request"');
});

test('a balancer of another root or registry on this machine is named, and not taken for one of these', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  await until('it acknowledges', async () => (await scenario.etcd?.ctl('get', '/pointsman/balancers/b1')) !== '');
  // The same id under another root: its acknowledgement is as if that balancer had been stopped a moment ago.
  const lease = /lease (\w+)/.exec((await scenario.etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
  const said = (await scenario.etcd?.ctl('get', '/pointsman/balancers/b1', '--print-value-only')) ?? '';
  const { admin: _, ...private_ } = JSON.parse(said);
  await scenario.etcd?.ctl('put', '/other/balancers/b1', JSON.stringify(private_), `--lease=${lease}`);
  const here = ['--admin', `127.0.0.1:${scenario.admin}`];
  const own = ['--registry', scenario.location, ...here];
  const elsewhere = await startEtcd();
  onTestFinished(() => elsewhere.close());

  const status = JSON.parse((await runPointsman(['status', '--json', ...own])).stdout.join(''));
  expect(status).toMatchObject({ balancers: [{ id: 'b1', up: { web: 1 } }], trouble: [] });
  const stranger = `answers b1 of ${scenario.location}/pointsman/, of another registry or root`;

  const otherRoot = [...own, '--root', '/other/'];
  const other = JSON.parse((await runPointsman(['status', '--json', ...otherRoot])).stdout.join(''));
  expect(other).toMatchObject({ services: [], trouble: [expect.stringContaining(stranger)] });
  expect(other.balancers).toEqual([
    {
      id: 'b1',
      admin: { reason: expect.any(String) },
      up: {},
      revision: expect.any(String),
      haproxyVersion: expect.any(String),
      haproxyFaults: faultsOf(other.balancers[0].haproxyVersion).map(({ fault }) => fault.id),
    },
  ]);
  const note = countFaults(other.balancers[0].haproxyVersion);
  const shown = (await runPointsman(['status', ...otherRoot])).stdout.join('\n');
  expect(shown.includes('note: HAProxy')).toBe(note !== undefined);
  expect(shown).toContain(note ?? '');
  const explained = await runPointsman(['explain', 'web/a', ...otherRoot]);
  expect(explained.stdout).toEqual([
    expect.stringContaining('b1: not known: its admin port is for its own machine only'),
  ]);
  const events = await runPointsman(['events', ...otherRoot]);
  expect({ code: events.code, stdout: events.stdout }).toEqual({ code: 1, stdout: [] });
  expect(events.stderr.join('\n')).toContain(stranger);

  // The same root, in another cluster.
  const otherCluster = ['--registry', elsewhere.location, ...here];
  const third = JSON.parse((await runPointsman(['status', '--json', ...otherCluster])).stdout.join(''));
  expect(third).toMatchObject({ balancers: [], trouble: [expect.stringContaining(stranger)] });
  const unexplained = await runPointsman(['explain', 'web/a', ...otherCluster]);
  expect({ code: unexplained.code, stdout: unexplained.stdout }).toEqual({ code: 1, stdout: [] });
  expect(unexplained.stderr.join('\n')).toContain(stranger);
});

test('what comes from outside steers no terminal, and repeats no secret', async () => {
  const { registry, balancerNamed, acknowledged, location } = await startBalancers('etcd');
  const [a = ''] = await startApps('a');
  const esc = String.fromCharCode(0x1b);
  const csi = String.fromCharCode(0x9b);
  const hostile = `${esc}]0;owned${String.fromCharCode(7)}${csi}2J${String.fromCharCode(0x202e)}`;
  await registry.write('instances/web/a', a);
  await registry.write(`instances/web/${hostile}`, 'x');
  await registry.write('instances/web/b', `{"address":"${hostile}"}`);
  await registry.write('overrides/web/a', JSON.stringify({ kind: 'weight', weight: 9, why: hostile }));
  const secret = (value: string) => JSON.stringify({ headers: { request: { set: { Authorization: value } } } });
  await registry.write('services/web', secret('Bearer BADSECRET\n'));
  await registry.write('services/api', secret('Bearer BADSECRET').replace('}', '"}'));
  await registry.write('services/db', JSON.stringify({ sticky: 'BADSECRET' }));
  const told = { format: 1, cluster: 'x', owner: 'x', version: '1', revision: '1' };
  const false1 = JSON.stringify({ ...told, admin: `127.0.0.1:1${hostile}`, haproxyVersion: hostile });
  await registry.write('balancers/evil', false1, { ttlMs: 60_000 });
  const balancer = await balancerNamed('lb-1');
  const said = await acknowledged('lb-1', 'the policies', ({ refusals }) => refusals.length >= 5);
  expect(said.refusals.map(({ reason }) => reason)).toContainEqual(
    'headers.request.set.Authorization: it is not a header value: character 17 (U+000A) is not printable ASCII',
  );
  const port = balancer.admin;
  const outputs: string[] = [];
  for (const command of [['status', 'web'], ['explain', 'web/b'], ['events'], ['overrides'], ['render']]) {
    for (const json of command[0] === 'render' ? [[]] : [[], ['--json']]) {
      const where = ['--registry', location];
      const admin = command[0] === 'overrides' ? [] : ['--admin', `127.0.0.1:${port}`];
      const { stdout, stderr } = await runPointsman([...command, ...json, ...where, ...admin]);
      outputs.push(...stdout, ...stderr);
    }
  }
  outputs.push(...balancer.process.output);
  const all = outputs.join('\n');
  expect(all).toContain('owned');
  expect(all).not.toMatch(/(?![\n\u200c\u200d])[\p{Cc}\p{Cf}]/u);
  for (const path of ['/status', '/services', '/fleet', '/explain/web/b', '/events']) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    expect(await answer.text(), path).not.toMatch(/(?![\n\u200c\u200d])[\p{Cc}\p{Cf}]/u);
  }
  const status = JSON.stringify(await balancer.status());
  const { entries } = await registry.read('balancers/lb-1');
  expect(all + status + entries[0]?.value).not.toContain('BADSECRET');
});

test('what HAProxy refuses of a line repeats nothing that is quoted there', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  const folder = join(scenario.dir, 'templates');
  await mkdir(folder);
  const shipped = await readFile(join(import.meta.dirname, '../templates/policy.mustache'), 'utf8');
  await writeFile(join(folder, 'policy.mustache'), shipped);
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy-templates', folder);
  await balancer.logged('serving');
  const bad = '    http-request set-header Authorization "Bearer BADSECRET %[BADSECRET]"\n';
  await writeFile(join(folder, 'policy.mustache'), `${shipped.trimEnd()}\n${bad}`);
  await until('it is refused', async () => (await scenario.askAdmin('/status')).body.includes('HAProxy refuses it'));
  const status = (await scenario.askAdmin('/status')).body;
  expect(status + balancer.output.join('\n')).not.toContain('BADSECRET');
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
  expect(stdout.join('\n')).toMatch(/server-down instances\/web\/c {2}Layer4 connection problem/);
  expect(stdout.join('\n')).toMatch(/server-up instances\/web\/c/);
  for (const line of stdout.filter((one) => /^\d\d:/.test(one))) expect(line).toMatch(/^\S+ \S+ \S/);
  expect(stdout.join('\n')).not.toContain('HAProxy says');
});

test('status shows what is served: the policy before one that HAProxy refuses, and a port while etcd is away', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  const [port = 0] = await freePorts(1);
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/db/a', a);
  await scenario.writeByHand('services/web', '{"hosts":["old.example.com"]}');
  await scenario.writeByHand('services/db', JSON.stringify({ mode: 'tcp', port }));
  const balancer = scenario.balancer();
  await scenario.serves('old.example.com', ['a']);
  await scenario.writeByHand('services/web', '{"hosts":["new.example.com"],"tls":{"ca":"missing.pem"}}');
  await balancer.logged('quarantined');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const status = async () => (await runPointsman(['status', ...where])).stdout.join('\n');
  await until('the last good one is shown', async () => /^web .* old\.example\.com/m.test(await status()));
  expect(await status()).not.toContain('new.example.com');
  expect(await status()).toMatch(new RegExp(`^db .* tcp port ${port}`, 'm'));
  await scenario.etcd?.members[0]?.stop();
  await balancer.logged('registry-disconnected');
  expect(await status()).toMatch(new RegExp(`^db .* tcp port ${port}`, 'm'));
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
  expect(stdout[0]).toContain("b1: web/b is not served: the policy's split gives version v2 nothing");
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
