import { expect, test } from 'vitest';
import { formatUser, parseUsers, storePassword } from './users.ts';

const reasonOf = (text: string) => {
  const read = parseUsers(text);
  return read.ok ? undefined : read.reason;
};

test('a file of users has a line for each, between comments', () => {
  const stored = storePassword('secret', 'saltsalt');
  const read = parseUsers(`# users\r\n\n${formatUser('ada', stored)}\r\n`);
  expect(read.ok && [...read.value]).toEqual([['ada', stored]]);
  // printf 'secretsaltsalt' | openssl dgst -sha256 -binary | base64
  expect(stored.digest).toBe('oBmrdHcA6OZEkkCLeXh71YAerbvhXz1qqwjrPsXmEtM=');
});

test('a hash of another program is refused with its name and what to do', () => {
  expect(reasonOf('ada:$2y$05$abc')).toBe(
    'line 1: the password of ada is hashed with bcrypt, which HAProxy cannot verify quickly enough for each request; make a line with pointsman password NAME',
  );
  expect(reasonOf('ada:$apr1$abc')).toContain("Apache's MD5");
  expect(reasonOf('ada:$6$abc')).toContain('crypt');
});

test('a refusal never repeats what may be a password', () => {
  expect(reasonOf('hunter2')).not.toContain('hunter2');
  expect(reasonOf('ada:hunter2')).not.toContain('hunter2');
});

test('a user who is there twice or has a name with other characters is refused', () => {
  const line = formatUser('ada', storePassword('secret', 'saltsalt'));
  expect(reasonOf(`${line}\n${line}`)).toBe('line 2: ada is there twice');
  expect(reasonOf(line.replace('ada', 'a da'))).toContain('not the name of a user');
});
