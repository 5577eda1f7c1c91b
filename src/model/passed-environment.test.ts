import { expect, test } from 'vitest';
import { passedEnvironment, restoreEnvironment, variablesOf } from './passed-environment.ts';

test('the environment becomes what bin/pointsman was given', () => {
  const given = Buffer.from('A=1\0a.b=x=y\nz\0A=2\0none\0=odd=1\0user=me\0').toString('base64');
  const parts = { pointsman_sh_environ_1: given.slice(0, 8), pointsman_sh_environ_2: given.slice(8) };
  const env: Record<string, string | undefined> = { ...parts, A: '1', user: 'other', PWD: '/made/by/the/shell' };
  restoreEnvironment(env);
  expect(env).toEqual({ A: '1', 'a.b': 'x=y\nz', user: 'me', '=odd': '1' });
});

test('the environment stays when bin/pointsman passed none', () => {
  const env = { A: '1' };
  restoreEnvironment(env);
  expect(env).toEqual({ A: '1' });
  expect(passedEnvironment(env)).toBeUndefined();
  expect(variablesOf('')).toEqual(new Map());
});
