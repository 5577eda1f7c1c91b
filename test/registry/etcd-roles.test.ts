import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ContainerPolicies } from '../../src/container-policies/container-policies.ts';
import { parseServiceName } from '../../src/model/name.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { startApp } from '../support/app.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const password = 'correct-horse';
const root = ['--user', 'root:secret'] as const;

/** An etcd with authentication on, and the users that `pointsman roles` makes. */
async function start() {
  const scenario = await startScenario('etcd', { args: ['--bcrypt-cost', '4'] });
  const { etcd, dir } = scenario;
  if (etcd === undefined) throw new Error('a scenario with etcd has one');
  const { code, stdout } = await runPointsman([
    'roles',
    'register/web',
    'balancer/b1',
    'apply/shop=services/web,keys/x',
    'containers',
    'operator',
    'reader',
  ]);
  const acme = await runPointsman(['roles', '--acme', 'balancer/b2']);
  expect([code, acme.code]).toEqual([0, 0]);
  // `pointsman roles … | sh`; the passwords were chosen before.
  for (const role of ['register-web', 'balancer-b1', 'balancer-b2', 'apply-shop', 'containers', 'operator', 'reader']) {
    await writeFile(join(dir, `pointsman-${role}.password`), `${password}\n`, { mode: 0o600 });
  }
  const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: etcd.endpoints.join() };
  const piped = await execa('sh', ['-e'], { input: [...stdout, ...acme.stdout].join('\n'), cwd: dir, env });
  expect(piped.stderr).toBe('');
  await etcd.ctl('user', 'add', 'root:secret');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('auth', 'enable');
  const passwordFile = join(dir, 'password');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  const login = (role: string) => ['--etcd-user', `pointsman-${role}`, '--etcd-password-file', passwordFile];
  const open = (role: string): Registry => {
    const credentials = { username: `pointsman-${role}`, readPassword: async () => password };
    const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/', credentials });
    onTestFinished(() => registry.close());
    return registry;
  };
  return { scenario, etcd, login, open };
}

const keys = [
  'instances/web/a',
  'instances/web2/a',
  'instances/we',
  'services/web',
  'overrides/web/a',
  'overrides/web/*',
  'claims/web',
  'claims/*',
  'releases/web',
  'waits/x',
  'balancers/b1',
  'balancers/b1:0a1b2c3d',
  'balancers/b11',
  'keys/x',
  'sets/shop/1',
  'sets/shop2/1',
  'acme/account',
  'acme/leader',
  'acme/orders/shop.example.com',
  'acme/renewals/shop.example.com',
  'certificates/shop.example.com',
  'challenges/token',
];
const prefixes = ['', 'instances/', 'instances/web/', 'balancers/', 'services/web', 'overrides/'];

describe('the users that `pointsman roles` makes', () => {
  test('may do what they need, and everything else is refused', async () => {
    const { etcd, open } = await start();
    await etcd.ctl(...root, 'put', '/other/x', '1');
    const allowed = async (what: readonly string[], act: (key: string) => Promise<unknown>): Promise<string[]> => {
      const done: string[] = [];
      for (const key of what) {
        try {
          await act(key);
          done.push(key);
        } catch (error) {
          expect(error, key).toMatchObject({ code: 'registry-denied' });
        }
      }
      return done;
    };
    const may = async (role: string) => {
      const registry = open(role);
      return {
        puts: await allowed(keys, (key) => registry.write(key, 'x')),
        deletes: await allowed(keys, (key) => registry.remove(key)),
        reads: await allowed(prefixes, (prefix) => registry.read(prefix)),
      };
    };
    const registers = ['instances/web/a'];
    const operates = [
      'services/web',
      'overrides/web/a',
      'overrides/web/*',
      'claims/web',
      'claims/*',
      'releases/web',
      'waits/x',
      'sets/shop/1',
      'sets/shop2/1',
      'acme/renewals/shop.example.com',
      'certificates/shop.example.com',
    ];
    expect(await may('register-web')).toEqual({
      puts: registers,
      deletes: registers,
      reads: ['instances/web/', 'balancers/'],
    });
    const acknowledges = ['balancers/b1', 'balancers/b1:0a1b2c3d'];
    expect(await may('balancer-b1')).toEqual({ puts: acknowledges, deletes: acknowledges, reads: prefixes });
    const orders = keys.filter((key) => /^(acme|certificates|challenges)\//.test(key));
    expect(await may('balancer-b2')).toEqual({ puts: orders, deletes: orders, reads: prefixes });
    expect(await may('operator')).toEqual({ puts: operates, deletes: operates, reads: prefixes });
    const applies = ['services/web', 'keys/x', 'sets/shop/1'];
    expect(await may('apply-shop')).toEqual({ puts: applies, deletes: applies, reads: prefixes.slice(1) });
    const announces = ['instances/web/a', 'instances/web2/a', 'instances/we', 'services/web'];
    const looks = ['instances/', 'instances/web/', 'balancers/', 'services/web'];
    expect(await may('containers')).toEqual({ puts: announces, deletes: announces, reads: looks });
    expect(await may('reader')).toEqual({ puts: [], deletes: [], reads: prefixes });
    const credentials = { username: 'pointsman-reader', readPassword: async () => password };
    const elsewhere = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/other/', credentials });
    onTestFinished(() => elsewhere.close());
    const message = 'permission denied to read all keys';
    await expect(elsewhere.read('')).rejects.toMatchObject({ code: 'registry-denied', message });
  });

  test('let an agent of containers keep the policies of labels', async () => {
    const { open } = await start();
    const registry = open('containers');
    const about = { logger: pino({ level: 'silent' }), host: 'a', ttlMs: 30_000, graceMs: 0, random: () => 0 };
    const policies = new ContainerPolicies({ ...about, registry, now: () => performance.now() });
    onTestFinished(() => policies.close());
    const service = parseServiceName('web');
    if (!service.ok) throw new Error('web is a name');
    const policyIs = (text: string | undefined) =>
      until(`the policy is ${text}`, async () => (await registry.read('services/')).entries[0]?.value === text);
    const asked = { service: service.value, container: 'web-1', created: 1, announced: true };
    policies.update([{ ...asked, policy: '{"hosts":["a.example"]}' }]);
    await policyIs('{"hosts":["a.example"]}');
    policies.update([]);
    await policyIs(undefined);
  });

  test('cannot end the registration of another, nor take it over', async () => {
    const { etcd, open } = await start();
    let lease = '';
    const owner = open('register-web').openSession({
      ttlMs: 5000,
      mayReplace: () => false,
      onEvent: (event) => {
        if (event.kind === 'granted') lease = event.lease;
      },
    });
    await owner.put('instances/web/a', '10.0.0.1:80');
    const revoke = etcd.ctl('--user', `pointsman-balancer-b1:${password}`, 'lease', 'revoke', lease);
    await expect(revoke).rejects.toThrow(/permission denied/);
    const thief = open('balancer-b1').openSession({ ttlMs: 5000, mayReplace: () => true, onEvent: () => undefined });
    await expect(thief.put('instances/web/a', '6.6.6.6:80')).rejects.toMatchObject({ code: 'registry-denied' });
    await Promise.all([owner.close(), thief.close()]);
    expect(await etcd.ctl(...root, 'get', '--prefix', '/pointsman/')).toBe('');
  });

  test('are enough for a balancer, a register that leaves acknowledged, an operator and a reader', async () => {
    const { scenario, etcd, login } = await start();
    const app = await startApp('a');
    onTestFinished(() => app.close());
    const balancer = scenario.balancer('--id', 'b1', ...login('balancer-b1'));
    const registration = startPointsman(
      [
        ...['register', '--registry', scenario.location, '--service', 'web', '--id', 'a', '--address', app.address],
        ...['--ttl', '2s', '--etcd-user', 'pointsman-register-web'],
      ],
      { env: { POINTSMAN_ETCD_PASSWORD: password } },
    );
    await registration.logged('announced');
    await scenario.serves('web', ['a'], 20_000);
    await balancer.logged('serving');
    await until('the balancer acknowledges', async () =>
      (await etcd.ctl(...root, 'get', '/pointsman/balancers/b1')).includes('"revision"'),
    );

    // register finds a lost key and puts it again: it reads the keys of its lease.
    await etcd.ctl(...root, 'del', '/pointsman/instances/web/a');
    await registration.logged('restored');
    await scenario.serves('web', ['a'], 20_000);

    const run = (role: string, ...args: readonly string[]) =>
      runPointsman([...args, '--registry', scenario.location, ...login(role)]);
    expect(await run('operator', 'drain', 'web/a', '--for', '1m')).toMatchObject({ code: 0 });
    await until('a drains', async () => (await scenario.ask('web')).status === 503);
    expect((await run('reader', 'overrides')).stdout[1]).toContain('web/a');
    const refused = await run('reader', 'undrain', 'web/a');
    expect(refused).toMatchObject({ code: 1, stdout: [] });
    expect(refused.stderr).toEqual([
      expect.stringMatching(/permission denied.*check the user, its password and its roles/),
    ]);
    expect(await run('operator', 'undrain', 'web/a')).toMatchObject({ code: 0 });
    await scenario.serves('web', ['a']);

    registration.kill('SIGTERM');
    expect(await registration.ended).toEqual({ code: 0, signal: null });
    expect(registration.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await etcd.ctl(...root, 'get', '--prefix', '/pointsman/instances/')).toBe('');
    balancer.kill('SIGTERM');
    expect(await balancer.ended).toEqual({ code: 0, signal: null });
    expect(balancer.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await etcd.ctl(...root, 'get', '--prefix', '/pointsman/balancers/')).toBe('');
  });
});

test('a user that may apply one set applies it, and writes nothing else', async () => {
  const { scenario, login, open } = await start();
  const file = join(scenario.dir, 'shop.yaml');
  const apply = (set = 'shop') =>
    runPointsman(['apply', '--registry', scenario.location, ...login('apply-shop'), '--set', set, '--prune', file]);
  await writeFile(file, 'services: {web: {}, web-api: {}}\nkeys: {x: "1", x2: "2"}\n');
  expect(await apply()).toMatchObject({ code: 0, stderr: [] });
  await writeFile(file, 'services: {web: {}}\nkeys: {x: "2"}\n');
  expect(await apply()).toMatchObject({ code: 0, stderr: [] });
  const { entries } = await open('reader').read('');
  expect(entries.map(({ key }) => key).sort()).toEqual(['keys/x', 'services/web', 'sets/shop/1']);
  await writeFile(file, 'services: {web: {}, other: {}}\nkeys: {x: "2"}\n');
  const denied = expect.stringContaining('permission denied to write services/other');
  expect(await apply()).toMatchObject({ code: 1, stderr: [denied] });
  expect(await apply('theirs')).toMatchObject({
    code: 2,
    stderr: [expect.stringContaining('the set shop owns'), expect.anything(), expect.anything()],
  });
});

test('the commands make a password for a user where none was chosen', async () => {
  const { etcd, dir } = await startScenario('etcd', { args: ['--bcrypt-cost', '4'] });
  if (etcd === undefined) throw new Error('a scenario with etcd has one');
  const { stdout } = await runPointsman(['roles', 'reader']);
  const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: etcd.endpoints.join() };
  await execa('sh', ['-e'], { input: stdout.join('\n'), cwd: dir, env });
  const made = (await readFile(join(dir, 'pointsman-reader.password'), 'utf8')).trim();
  expect(made).toMatch(/^[A-Za-z0-9+/]{32}$/);
  await etcd.ctl('user', 'add', 'root:secret');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('auth', 'enable');
  expect(await etcd.ctl('--user', `pointsman-reader:${made}`, 'get', '--prefix', '/pointsman/')).toBe('');
});

// etcd 3.4 asks nobody who he is for what concerns leases alone; test/tls.test.ts has the answer, client certificates.
test('without client certificates, a client that is no user sees and prolongs leases, and cannot end those of instances', async () => {
  const { etcd } = await start();
  const leaseOf = async (...args: readonly string[]) => (await etcd.ctl(...args)).split(' ')[1] ?? '';
  const used = await leaseOf(...root, 'lease', 'grant', '100');
  const unused = await leaseOf(...root, 'lease', 'grant', '100');
  await etcd.ctl(...root, 'put', '--lease', used, '/pointsman/instances/web/a', '10.0.0.1:80');

  const listed = await etcd.ctl('lease', 'list');
  for (const lease of [used, unused]) expect(listed).toContain(lease);
  expect(await etcd.ctl('lease', 'timetolive', '--keys', used)).toContain('/pointsman/instances/web/a');
  expect(await etcd.ctl('lease', 'keep-alive', '--once', used)).toContain('keepalived');
  expect(await etcd.ctl('lease', 'grant', '100')).toContain('granted');
  expect(await etcd.ctl('lease', 'revoke', unused)).toContain('revoked');

  await expect(etcd.ctl('lease', 'revoke', used)).rejects.toThrow('user name is empty');
  await expect(etcd.ctl('get', '--prefix', '/')).rejects.toThrow('user name is empty');
  await expect(etcd.ctl('put', '/pointsman/keys/x', '1')).rejects.toThrow('user name is empty');
  expect(await etcd.ctl(...root, 'get', '--print-value-only', '/pointsman/instances/web/a')).toContain('10.0.0.1:80');
});
