import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { startRegistration as start } from './support/registration.ts';
import { until } from './support/until.ts';

// Nothing listens at the addresses that these commands are announced with.
const node = (code: string): readonly string[] => ['--check', 'none', '--', process.execPath, '-e', code];
const key = 'instances/web/a';

describe.each(['folder', 'etcd'] as const)('register, with the registry in %s', (kind) => {
  test('says draining before it leaves', async () => {
    const { register, recorder, states } = await start(kind);
    const registration = register('a', '10.0.0.1:80', '--weight', '7', '--zone', 'eu', '--meta', 'team=blue');
    const announced = await registration.logged('announced');
    expect(announced['revision']).toBeDefined();
    const value = JSON.parse(recorder.values()[key] ?? '{}');
    expect(value).toMatchObject({ address: '10.0.0.1', port: 80, weight: 7, zone: 'eu', meta: { team: 'blue' } });
    registration.kill('SIGTERM');
    expect(await registration.ended).toEqual({ code: 0, signal: null });
    await recorder.sees(key, undefined);
    expect(states()).toEqual(['ready', 'draining', 'deleted']);
  });

  test('is the parent of a command: its output, its signals, its exit code', async () => {
    const { register, recorder } = await start(kind);
    const code = `process.on('SIGHUP', () => console.log('hup')); process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('up')`;
    const registration = register('a', '10.0.0.1:80', ...node(code));
    await registration.printed('up');
    await registration.logged('announced');
    registration.kill('SIGHUP');
    await registration.printed('hup');
    registration.kill('SIGTERM');
    expect((await registration.ended).code).toBe(7);
    await recorder.sees(key, undefined);
  });

  test('leaves at once when its command dies, with 128 and the signal', async () => {
    const { register, recorder } = await start(kind);
    const registration = register(
      'a',
      '10.0.0.1:80',
      ...node('setTimeout(() => process.kill(process.pid, "SIGKILL"), 400)'),
    );
    await registration.logged('announced');
    expect((await registration.ended).code).toBe(137);
    await recorder.sees(key, undefined);
  });

  test('is refused an id that another process holds, and told where that one is', async () => {
    const { register, recorder } = await start(kind);
    await register('a', '10.0.0.1:80').logged('announced');
    const second = register('a', '10.0.0.2:80');
    expect((await second.ended).code).toBe(1);
    expect(second.stderr.at(-1)).toContain('10.0.0.1:80');
    expect(recorder.values()[key]).toContain('10.0.0.1');
  });

  test('takes its place back at once when it was killed and starts again', async () => {
    const { register, recorder, states } = await start(kind);
    const first = register('a', '10.0.0.1:80');
    await first.logged('announced');
    first.kill('SIGKILL');
    await first.ended;
    await register('a', '10.0.0.1:80').logged('announced');
    expect(recorder.values()[key]).toContain('10.0.0.1');
    expect(states()).not.toContain('deleted');
  });
});

test('several services of one process stand and leave together, under one lease', async () => {
  const { location, recorder, etcd } = await start('etcd');
  const registration = startPointsman([
    ...['register', '--registry', location, '--service', 'web=10.0.0.1:80', '--service', 'admin=10.0.0.1:90'],
    ...['--zone', 'eu', '--ttl', '5s'],
  ]);
  const held = () => [...recorder.view.keys()].sort();
  await until('both stand', () => held().length === 2);
  expect(held()).toEqual([`instances/admin/${hostname()}-90`, `instances/web/${hostname()}-80`]);
  expect(Object.values(recorder.values()).every((value) => value.includes('"zone":"eu"'))).toBe(true);
  expect(await etcd?.ctl('lease', 'list')).toContain('found 1 leases');
  registration.kill('SIGTERM');
  expect((await registration.ended).code).toBe(0);
  await until('none stands', () => held().length === 0);
  expect(recorder.changes.filter((change) => change.includes('draining'))).toHaveLength(2);
});

test('a command that is not there ends with 127 and says so', async () => {
  const { register } = await start('folder');
  const registration = register('a', '10.0.0.1:80', '--', '/nowhere/app');
  expect((await registration.ended).code).toBe(127);
  expect(registration.stderr.join()).toContain('/nowhere/app');
});
