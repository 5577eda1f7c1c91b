import { execa } from 'execa';
import { expect, test } from 'vitest';
import { parseUsers, storePassword } from '../src/model/secret/users.ts';
import { runPointsman } from './support/processes.ts';

const bin = 'bin/pointsman';

test('pointsman password makes a password, and a line of a file of users for it', async () => {
  const { stdout, stderr } = await execa(bin, ['password', 'ada']);
  const password = /^password of ada: (\S{24})$/m.exec(stderr)?.[1] ?? '';
  const users = parseUsers(stdout);
  const stored = users.ok ? users.value.get('ada') : undefined;
  expect(stored).toEqual(storePassword(password, stored?.salt ?? ''));
});

test('pointsman password takes a password from standard input, if it is long enough', async () => {
  const { stdout } = await execa(bin, ['password', 'ada', '--stdin'], { input: 'twelve chars or more\n' });
  const users = parseUsers(stdout);
  const stored = users.ok ? users.value.get('ada') : undefined;
  expect(stored).toEqual(storePassword('twelve chars or more', stored?.salt ?? ''));
  const short = await execa(bin, ['password', 'ada', '--stdin'], { input: 'hunter2\n', reject: false });
  expect(short.exitCode).toBe(2);
  expect(short.stderr).toContain('12 characters or more');
  expect(short.stderr).not.toContain('hunter2');
});

test('pointsman password refuses a name that HAProxy would read as something else', async () => {
  const { code, stderr } = await runPointsman(['password', 'a:b']);
  expect(code).toBe(2);
  expect(stderr.join()).toContain('is not the name of a user');
});
