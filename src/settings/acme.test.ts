import { describe, expect, test } from 'vitest';
import { problems, settings } from '../../test/support/settings.ts';
import { balanceCommand } from './balance.ts';

const acme = { https: '127.0.0.1:8443', acme: 'https://acme.example.com/directory', 'sealing-keys': '/etc/sealing' };
const of = (flags: Record<string, string | string[]>) => settings(balanceCommand, { flags }).balance;

test('an authority, HTTPS and sealing keys are enough to order certificates', () => {
  const { https, acme: read, sealingKeys } = of(acme);
  expect(https).toMatchObject({ certificates: undefined });
  expect(sealingKeys).toBe('/etc/sealing');
  expect(read).toEqual({
    directory: acme.acme,
    email: undefined,
    ca: undefined,
    eab: undefined,
    keyType: 'ecdsa',
    hosts: 'declared',
    allow: [],
    challenge: 'http-01',
    dns: undefined,
  });
});

test('records of DNS-01 are set by a command or by a nameserver that takes updates', () => {
  const dns = { ...acme, 'acme-challenge': 'dns-01' };
  expect(of({ ...dns, 'acme-dns-command': '/bin/dns' }).acme?.dns).toEqual({ kind: 'command', file: '/bin/dns' });
  expect(of({ ...dns, 'acme-dns-server': 'ns.example.com', 'acme-dns-key': '/key' }).acme?.dns).toEqual({
    kind: 'update',
    server: 'ns.example.com',
    keyFile: '/key',
  });
});

describe('settings of certificates that contradict each other are refused', () => {
  test.each<[Record<string, string>, string]>([
    [{ ...acme, acme: 'http://acme.example.com' }, '--acme: "http://acme.example.com" is not an address that begins'],
    [{ acme: acme.acme, 'sealing-keys': '/k' }, '--acme: certificates need HTTPS'],
    [{ https: acme.https, acme: acme.acme }, '--acme: private keys need keys that seal them'],
    [{ https: acme.https }, '--https: HTTPS needs certificates'],
    [{ 'acme-email': 'ops@example.com' }, '--acme-email: it has no effect without --acme'],
    [{ ...acme, 'acme-email': 'ops' }, '--acme-email: "ops" is not an e-mail address'],
    [{ ...acme, 'acme-eab-kid': 'kid-1' }, '--acme-eab-kid: it needs its key'],
    [{ ...acme, 'acme-eab-key': '/k' }, '--acme-eab-key: it needs its key id'],
    [{ ...acme, 'acme-challenge': 'dns-01' }, '--acme-challenge: nobody sets the DNS records of dns-01'],
    [{ ...acme, 'acme-dns-command': '/c' }, '--acme-dns-command: it has no effect with --acme-challenge http-01'],
    [{ 'sealing-keys': '/k' }, '--sealing-keys: it has no effect without --https'],
    [{ ...acme, layout: 'confd' }, '--sealing-keys: a tree in another layout has no certificates'],
  ])('%j', (flags, problem) => {
    expect(problems(balanceCommand, { flags })[0]).toContain(problem);
  });
});
