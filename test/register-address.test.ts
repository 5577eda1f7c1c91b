import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

// Real interfaces, in a network namespace of their own: pairs, for one of them is up only when its peer is.
const namespace = (setUp: string) => ['unshare', '--net', 'sh', '-ec', `ip link set lo up; ${setUp} exec "$@"`, 'sh'];
const addInterface = (name: string, ...addresses: readonly string[]): string =>
  `ip link add ${name} type veth peer name p-${name}; ip link set p-${name} up; ip link set ${name} up; ${addresses.map((address) => `ip addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}; `).join('')}`;
const [file = '', ...args] = [...namespace(addInterface('pm0', '10.9.0.7/24')), 'true'];
const tried = spawnSync(file, args, { encoding: 'utf8' });
const possible = tried.status === 0;
if (!possible) {
  process.stderr.write(`addresses are not tested on real interfaces, which takes root: ${tried.stderr}\n`);
}

async function start(setUp: string) {
  const { location, recorder } = await startRegistration('folder');
  const register = (flags: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    startPointsman(['register', '--registry', location, '--service', 'web', '--id', 'a', ...flags], {
      through: namespace(setUp),
      env,
    });
  return { register, recorder };
}

const plain = addInterface('eth0', '10.9.0.7/24', '2001:db8::7/64');
const bridged = plain + addInterface('docker0', '172.17.0.1/16');

describe.skipIf(!possible)("a machine's own address", () => {
  test.each([
    ['the only one of IPv4', plain, [], '10.9.0.7:8080'],
    ['of an interface', bridged, ['--net', 'docker0'], '172.17.0.1:8080'],
    ['in a network', bridged, ['--net', '10.0.0.0/8'], '10.9.0.7:8080'],
    ['of IPv6', bridged, ['--net', '2001:db8::/32'], '[2001:db8::7]:8080'],
    ['loopback, when asked', plain, ['--net', 'lo'], '127.0.0.1:8080'],
  ])('%s', async (_, setUp, flags, address) => {
    const { register } = await start(setUp);
    const announced = await register(['--address', ':8080', ...flags]).logged('announced');
    expect(announced['address']).toBe(address);
  });

  test('is not guessed', async () => {
    const { register } = await start(bridged);
    const registration = register(['--address', ':8080']);
    expect((await registration.ended).code).toBe(2);
    expect(registration.stderr).toEqual([
      'pointsman: --address: this machine has 2 addresses that fit: 10.9.0.7 (eth0), 172.17.0.1 (docker0) (choose with --net eth0, or --net 10.9.0.7)',
    ]);
  });

  test('is announced anew when it changes', async () => {
    const { register, recorder } = await start(plain);
    const registration = register(['--address', ':8080']);
    await registration.logged('announced');
    const inside = ['--target', String(registration.pid), '--net', 'ip', 'addr'];
    for (const change of [
      ['del', '10.9.0.7/24', 'dev', 'eth0'],
      ['add', '10.9.0.8/24', 'dev', 'eth0'],
    ]) {
      expect(spawnSync('nsenter', [...inside, ...change]).status).toBe(0);
    }
    const value = () => recorder.view.get('instances/web/a')?.value ?? '';
    await until('the new one stands', () => value().includes('10.9.0.8'), { deadlineMs: 20_000 });
    expect(recorder.changes.some((change) => change.includes('delete'))).toBe(false);
  });
});

test('an address comes from variables, where somebody else knows it', async () => {
  const { location } = await startRegistration('folder');
  const register = (id: string, address: string, env: Readonly<Record<string, string>>) =>
    startPointsman(['register', '--registry', location, '--service', 'web', '--id', id, '--address', address], { env });
  const whole = register('a', 'env:PUBLISHED', { PUBLISHED: '10.0.0.1:31000' });
  expect((await whole.logged('announced'))['address']).toBe('10.0.0.1:31000');
  const parts = register('b', 'env:HOST_NAME:PORT0', { HOST_NAME: 'node7.example', PORT0: '31001' });
  expect((await parts.logged('announced'))['address']).toBe('node7.example:31001');
  const missing = register('c', 'env:NOWHERE', {});
  expect((await missing.ended).code).toBe(2);
  expect(missing.stderr).toEqual(['pointsman: --address env:NOWHERE: the variable NOWHERE is not set']);
});
