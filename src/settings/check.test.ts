import { describe, expect, test } from 'vitest';
import { checkCommand } from './check.ts';
import { readSettings } from './read-settings.ts';

const machine = { hostname: 'lb-1', home: undefined, stateHome: undefined, root: true };

const read = (flags: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) =>
  readSettings(
    checkCommand,
    { flags: new Map(Object.entries(flags).map(([name, value]) => [name, [value]])), env, file: undefined },
    machine,
  );

const user = { 'etcd-user': 'ada' };

describe('the password of the etcd user, which may be in the environment of the balancer alone', () => {
  test('is not needed for a check', () => {
    expect(read(user)).toMatchObject({ ok: true, value: { userWithoutPassword: 'ada', registry: { kind: 'etcd' } } });
  });

  test.each([
    ['in the environment', {}, { POINTSMAN_ETCD_PASSWORD: 'secret' }],
    ['in a file', { 'etcd-password-file': '/p' }, {}],
  ])('is known %s', (_, flags, env) => {
    expect(read({ ...user, ...flags }, env)).toMatchObject({
      ok: true,
      value: { userWithoutPassword: undefined, registry: { login: { user: 'ada' } } },
    });
  });

  test('is needed for a balancer that starts here and now', () => {
    const reading = read({ ...user, listen: '' });
    expect(reading.ok ? [] : reading.problems.map(({ message }) => message)).toEqual([
      'a user is given without a password',
    ]);
  });

  test('does not hide that the user has no effect with a folder', () => {
    expect(read({ ...user, registry: 'dir:/x' }).ok).toBe(false);
  });
});
