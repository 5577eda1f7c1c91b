import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatUser, storePassword } from '../src/model/secret/users.ts';
import { startApp, startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

test('a policy whose file of users is missing on one balancer is not served, until the file is there', async () => {
  const { registry, location, dir, balancerNamed, acknowledged } = await startBalancers('etcd');
  const [a = ''] = await startApps('a');
  await registry.write('instances/web/a', a);
  const [has, lacks] = [join(dir, 'has'), join(dir, 'lacks')];
  const users = `${formatUser('ada', storePassword('one', 'saltsalt'))}\n`;
  for (const folder of [has, lacks]) await mkdir(folder);
  await writeFile(join(has, 'shop.users'), users);
  for (const [id, folder] of [
    ['lb-1', has],
    ['lb-2', lacks],
  ] as const) {
    await (await balancerNamed(id, '--secrets', folder)).process.logged('serving');
  }
  const file = join(dir, 'shop.yaml');
  await writeFile(file, 'services:\n  web:\n    auth: {basic: {users: shop.users}}\n');
  const calls = [
    ['apply', file],
    ['wait', 'web'],
  ].map((call) => [...call, '--registry', location]);
  const [applied, waited] = [
    await runPointsman([...(calls[0] ?? []), '--timeout', '2s']),
    await runPointsman([...(calls[1] ?? []), '--timeout', '2s']),
  ];
  const reason = `auth: every request is answered with status 503: ${lacks}/shop.users: no such file`;
  expect(applied).toMatchObject({
    code: 1,
    stderr: [expect.stringContaining(`lb-2 does not serve services/web: ${reason}`), expect.anything()],
  });
  expect(waited).toMatchObject({ code: 1, stderr: [expect.stringContaining(`lb-2 does not serve it: ${reason}`)] });

  await writeFile(join(lacks, 'shop.users'), users);
  await acknowledged('lb-2', 'the policy', ({ refusals }) => refusals.length === 0);
  for (const call of calls) expect(await runPointsman(call)).toMatchObject({ code: 0, stderr: [] });
});

test('apply and policy set tell of a host that another service has, although the service is served', async () => {
  const { registry, location, dir, balancerNamed } = await startBalancers('etcd');
  await registry.write('services/first', '{"hosts":["shop.test"]}');
  await (await balancerNamed('lb-1')).process.logged('serving');
  const file = join(dir, 'late.yaml');
  await writeFile(file, 'services:\n  late: {hosts: [shop.test, late.test]}\n');
  const note = 'warning: late does not get the route shop.test/: first has it, and its policy is older';
  const at = ['--registry', location];
  expect(await runPointsman(['apply', file, ...at])).toMatchObject({ code: 0, stderr: [note] });
  const set = ['policy', 'set', 'late', 'hosts=["shop.test","other.test"]', ...at];
  expect((await runPointsman(set)).stderr[0]).toBe(note);
});

test('apply, diff and policy set take a policy whose files are not on this machine with --without-haproxy only', async () => {
  const { location, dir } = await startBalancers('folder');
  const file = join(dir, 'shop.yaml');
  await writeFile(file, 'services:\n  web:\n    errorPages: {pages: {5xx: oops}}\n');
  for (const call of [
    ['diff', file],
    ['apply', file],
    ['policy', 'set', 'api', 'errorPages={"pages":{"5xx":"oops"}}'],
  ]) {
    const args = [...call, '--registry', location];
    const refused = await runPointsman(args);
    expect(refused.code).toBe(2);
    expect(refused.stderr.filter((line) => line.includes('oops.html'))).toEqual([
      expect.stringMatching(/:\d+:\d+: errorPages: oops\.html is not in .*--error-pages.*--without-haproxy/),
    ]);
    expect((await runPointsman([...args, '--without-haproxy'])).code).toBe(call[0] === 'diff' ? 1 : 0);
  }
});

test('pin and shift warn before they change a policy that a set of apply owns', async () => {
  const { registry, location, dir } = await startBalancers('folder');
  for (const version of ['v1', 'v2']) {
    await registry.write(`instances/web/${version}`, JSON.stringify({ address: '127.0.0.1:1', version }));
  }
  const at = ['--registry', location];
  const file = join(dir, 'shop.yaml');
  await writeFile(file, 'services:\n  web: {hosts: [shop.test]}\n');
  expect((await runPointsman(['pin', 'web', ...at])).stderr).toEqual([]);
  expect((await runPointsman(['apply', file, '--set', 'shop', '--take', ...at])).code).toBe(0);
  const warning = expect.stringMatching(/^warning: the set shop owns services\/web: .* restores the split/);
  expect(await runPointsman(['pin', 'web', ...at])).toMatchObject({ code: 0, stderr: [warning] });
  const shift = ['shift', 'web', '--to', 'v2', '--weight', '10%', '--every', '1s', ...at];
  expect(await runPointsman(shift)).toMatchObject({ code: 0, stderr: [warning] });
});

test('status shows an ejected instance as ejected, although its health check passes', async () => {
  const { registry, location, balancerNamed } = await startBalancers('folder');
  const apps = await Promise.all([
    startApp('good'),
    startApp('bad', (_, response) => {
      response.writeHead(500).end();
    }),
  ]);
  for (const { name, address } of apps) await registry.write(`instances/web/${name}`, address);
  const ejection = { errors: 2, within: '10s', for: '1h', most: '50%' };
  await registry.write('services/web', JSON.stringify({ check: { kind: 'tcp', interval: '500ms' }, ejection }));
  const { process, ask, admin } = await balancerNamed('lb-1');
  await process.logged('serving');
  await until('it is ejected', async () => {
    await ask('web');
    return process.log.some(({ event }) => event === 'instance-ejected');
  });
  const at = ['--registry', location, '--admin', `127.0.0.1:${admin}`];
  await process.logged('server-up');
  const { stdout: lines } = await runPointsman(['status', 'web', ...at]);
  expect(lines.find((line) => /^web /.test(line))).toMatch(/ 1 \(1 ejected\) /);
  expect(lines.find((line) => /^bad /.test(line))).toMatch(/ejected for \S.* more$/);
  expect(lines.find((line) => /^good /.test(line))).toMatch(/UP for \S.*$/);
  await Promise.all(apps.map((app) => app.close()));
});

test('a second --admin is an error, because only one balancer is on this machine', async () => {
  const { location } = await startBalancers('folder');
  const admin = ['--admin', '127.0.0.1:1', '--admin', '127.0.0.1:2'];
  expect(await runPointsman(['status', '--registry', location, ...admin])).toMatchObject({
    code: 2,
    stderr: [expect.stringContaining('--admin: it takes one value')],
  });
});
