import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCertificate } from '../src/model/certificate.ts';
import { makeAuthority } from './support/certificates.ts';

let folder: string;
let text: Record<'own' | 'key' | 'authority', string>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pm-pem-'));
  const authority = await makeAuthority(folder);
  const { certFile, keyFile } = await authority.issue('web', 1, ['web.example.com']);
  const [own, key, ca] = await Promise.all([certFile, keyFile, authority.caFile].map((file) => readFile(file, 'utf8')));
  text = { own: own ?? '', key: key ?? '', authority: ca ?? '' };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const reasonOf = (pem: string): string | undefined => {
  const parsed = parseCertificate(pem);
  return parsed.ok ? undefined : parsed.reason;
};

test('a certificate, its key and its chain are read', () => {
  expect(reasonOf(text.own + text.authority + text.key)).toBeUndefined();
  expect(reasonOf(text.key + text.own + text.authority)).toBeUndefined();
});

test('a chain in the wrong order is told as such', () => {
  expect(reasonOf(text.authority + text.own + text.key)).toBe(
    'the certificate of its key is number 2 in the file: put it first, and the certificates that signed it after it',
  );
  expect(reasonOf(text.authority + text.key)).toBe('its key belongs to another certificate');
});

test.each([
  ['of today', ['pkcs8', '-topk8', '-passout', 'pass:x']],
  ['of old', ['ec', '-aes128', '-passout', 'pass:x']],
])('a key that is encrypted in the form %s is told as such', async (_, args) => {
  const { stdout } = await execa('openssl', args, { input: text.key, timeout: 20_000 });
  expect(stdout).toContain('ENCRYPTED');
  expect(reasonOf(text.own + stdout)).toMatch(/^its private key is encrypted/);
});
