import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { issuePem } from '../../test/support/pem.ts';
import { settings } from '../../test/support/settings.ts';
import { parseServiceName } from '../model/name.ts';
import type { CertificateObstacle } from '../render/certificate-hosts.ts';
import { balanceCommand } from '../settings/balance.ts';
import { certificateNotes } from './certificate-notes.ts';

const service = parseServiceName('web');
if (!service.ok) throw new Error(service.reason);
const asking = (host: string, obstacle?: CertificateObstacle) => ({ host, service: service.value, obstacle });
const of = (flags: Record<string, string> = {}) =>
  settings(balanceCommand, {
    flags: {
      ...{ http: '0.0.0.0:80', https: '0.0.0.0:443', acme: 'https://acme.example.com/', 'sealing-keys': '/k' },
      ...flags,
    },
  }).balance;
const known = async () => ['192.0.2.1'];

test('check says which certificates a balancer would order, and why a host gets none', async () => {
  const hosts = [
    asking('a.example.com'),
    asking('*.example.com', 'needs-dns-01'),
    asking('b.example.com', 'not-allowed'),
  ];
  expect(await certificateNotes(of(), hosts, known)).toEqual([
    '*.example.com gets no certificate: a wildcard needs --acme-challenge dns-01',
    'b.example.com gets no certificate: --acme-allow does not name it',
    'certificates would be ordered for a.example.com',
  ]);
});

test('check says which hosts DNS does not know, and asks it for none where it must not', async () => {
  const unknown = () => Promise.reject(new Error('queryA ENOTFOUND a.example.com'));
  expect(await certificateNotes(of(), [asking('a.example.com')], unknown)).toContain(
    'a.example.com has no address in DNS, so the authority cannot ask it: queryA ENOTFOUND a.example.com',
  );
  expect(await certificateNotes(of(), [asking('a.example.com')], undefined)).toHaveLength(1);
});

test('check says that the authority asks port 80, where HAProxy does not listen', async () => {
  const notes = (http: string) =>
    certificateNotes(of({ http, https: '127.0.0.1:443' }), [asking('a.example.com')], known);
  expect(await notes('0.0.0.0:8080')).toContain(
    'the authority asks port 80 of each host, and --http is port 8080: port 80 must lead there',
  );
  expect((await notes('127.0.0.1:80')).join()).toContain('an address of this machine only');
  expect(await notes('0.0.0.0:80')).toHaveLength(1);
});

test('check leaves out hosts for which the folder has a certificate', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await issuePem(folder, 'a.example.com');
  const hosts = [asking('a.example.com'), asking('b.example.com')];
  expect(await certificateNotes(of({ certificates: folder }), hosts, known)).toEqual([
    'certificates would be ordered for b.example.com',
  ]);
});

test('check says which hosts ask in vain where no balancer orders', async () => {
  const hosts = [asking('a.example.com', 'no-acme'), asking('b.example.com', 'no-acme'), asking('x.*', 'no-name')];
  const { acme: _, ...without } = of();
  expect(await certificateNotes({ ...without, acme: undefined }, hosts, known)).toEqual([
    'no certificate would be ordered for a.example.com, b.example.com: --acme is not set',
  ]);
  expect(await certificateNotes({ ...without, acme: undefined }, [], known)).toEqual([]);
});
