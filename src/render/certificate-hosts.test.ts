import { Set as PersistentSet } from 'immutable';
import { expect, test } from 'vitest';
import { foldEntries } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import type { HostPattern } from '../model/route.ts';
import {
  type CertificateRules,
  certificateHosts,
  hostsForCertificates,
  hostsWithoutCertificate,
} from './certificate-hosts.ts';
import { changeRoutes, noRoutes } from './routes.ts';

const auto = { certificate: 'auto' };
const rules: CertificateRules = { hosts: 'declared', allow: [], challenge: 'http-01' };

/** The services of these entries. Each was created after the one before it. */
function servicesOf(entries: Readonly<Record<string, object>>) {
  const all = Object.entries(entries).map(([key, value], i) => {
    const entry = { key, value: JSON.stringify(value), revision: revision(BigInt(i + 1)), leased: false };
    return [key, entry] as const;
  });
  const { services, rejected } = foldEntries(new Map(all)).catalog;
  expect([...rejected.values()]).toEqual([]);
  return services;
}

function tableOf(entries: Readonly<Record<string, object>>) {
  const services = servicesOf(entries);
  return changeRoutes(noRoutes, services.keys(), services);
}

/** By host, the service or why no certificate is ordered. */
const hostsOf = (
  entries: Readonly<Record<string, object>>,
  more: Partial<CertificateRules> = {},
  inFolder: readonly string[] = [],
) =>
  Object.fromEntries(
    certificateHosts(tableOf(entries), { ...rules, ...more }, (host) => inFolder.includes(host)).map(
      ({ host, service, obstacle }) => [host, obstacle === undefined ? service : obstacle],
    ),
  );

const shop = { hosts: ['shop.example.com', 'www.example.com'], https: auto };

test('the hosts of services that declare it get certificates', () => {
  const entries = { 'services/shop': shop, 'services/plain': { hosts: ['plain.example.com'], https: 'redirect' } };
  expect(hostsOf(entries)).toEqual({ 'shop.example.com': 'shop', 'www.example.com': 'shop' });
});

test('with `all`, each exact host of an HTTP service gets one', () => {
  const entries = {
    'services/shop': shop,
    'services/plain': { hosts: ['plain.example.com', '*.example.com', 'x.*', '*'] },
    'services/named': {},
    'services/database': { mode: 'tcp', port: 5432, sni: ['db.example.com'] },
  };
  expect(hostsOf(entries, { hosts: 'all' })).toEqual({
    'shop.example.com': 'shop',
    'www.example.com': 'shop',
    'plain.example.com': 'plain',
    named: 'named',
  });
});

test('a service without hosts asks for its own name', () => {
  expect(hostsOf({ 'services/shop': { https: auto } })).toEqual({ shop: 'shop', 'shop.*': 'no-name' });
});

test('a host that another service has is not asked for', () => {
  const entries = {
    'services/owner': { hosts: ['shop.example.com'] },
    'services/thief': { hosts: ['shop.example.com', 'own.example.com'], https: auto },
  };
  expect(hostsOf(entries)).toEqual({ 'own.example.com': 'thief' });
});

test('a host that the claim of the service does not allow is not asked for', () => {
  const entries = {
    'claims/shop': { hosts: ['www.example.com'] },
    'services/shop': shop,
  };
  expect(hostsOf(entries)).toEqual({ 'www.example.com': 'shop' });
});

test('of several services on one host, the one with the shortest path counts', () => {
  const at = (path: string) => ({ hosts: ['shop.example.com'], paths: [path], https: auto });
  const entries = { 'services/api': at('/api/v1'), 'services/web': at('/api') };
  expect(hostsOf(entries)).toEqual({ 'shop.example.com': 'web' });
});

test('a service below the path of another one does not decide for the host', () => {
  const entries = {
    'services/victim': { hosts: ['victim.example.com'] },
    'services/evil': { hosts: ['victim.example.com', 'own.example.com'], paths: ['/evil'], https: auto },
  };
  const declared = { 'victim.example.com': 'not-decided', 'own.example.com': 'evil' };
  expect(hostsOf(entries)).toEqual(declared);
  expect(hostsOf(entries, { hosts: 'all' })).toEqual({ ...declared, 'victim.example.com': 'victim' });
});

test('a route with a match asks, too, unless another service has its path without a match', () => {
  const beta = { hosts: ['shop.example.com'], match: { headers: { 'x-beta': '1' } }, https: auto };
  expect(hostsOf({ 'services/beta': beta })).toEqual({ 'shop.example.com': 'beta' });
  const entries = { 'services/plain': { hosts: ['shop.example.com'] }, 'services/beta': beta };
  expect(hostsOf(entries)).toEqual({ 'shop.example.com': 'not-decided' });
});

test('what cannot be ordered has its reason', () => {
  const entries = { 'services/shop': { hosts: ['a.example.com', 'b.example.org', '*.example.com', '*'], https: auto } };
  expect(hostsOf(entries, { allow: ['*.example.com' as HostPattern] }, ['a.example.com'])).toEqual({
    'a.example.com': 'in-folder',
    'b.example.org': 'not-allowed',
    '*.example.com': 'needs-dns-01',
    '*': 'no-name',
  });
  const addresses = { 'services/shop': { hosts: ['192.0.2.1', '2001:db8::1'], https: auto } };
  expect(hostsOf(addresses)).toEqual({ '192.0.2.1': 'is-address', '2001:db8::1': 'is-address' });
  expect(hostsOf(entries, { challenge: 'dns-01' })).toMatchObject({ '*.example.com': 'shop' });
  expect(hostsForCertificates(certificateHosts(tableOf(entries), rules, () => false))).toEqual(
    new Map([
      ['a.example.com', 'shop'],
      ['b.example.org', 'shop'],
    ]),
  );
});

test('a redirect waits for the names that the service may have and no certificate has', () => {
  const hosts = ['shop.example.com', 'a.example.org', 'b.example.org', '*.example.net', 'shop.*', 'other.example.com'];
  const services = servicesOf({
    'claims/shop': { hosts: hosts.filter((host) => host !== 'other.example.com') },
    'services/shop': { hosts, https: { certificate: 'auto', redirect: true } },
    'services/serving': { https: auto },
  });
  const certified = PersistentSet(['a.example.org', '*.example.com']);
  const waiting = [...services.values()].map((service) => [
    service.name,
    hostsWithoutCertificate(service, { certified }),
  ]);
  expect(Object.fromEntries(waiting)).toEqual({ shop: ['b.example.org', '*.example.net'], serving: [] });
});

test('without --acme, the hosts that ask say so', () => {
  const entries = { 'services/shop': { hosts: ['shop.example.com', '*.example.com', 'x.*'], https: auto } };
  const found = certificateHosts(tableOf(entries), undefined, (host) => host === '*.example.com');
  expect(found.map(({ host, obstacle }) => [host, obstacle])).toEqual([
    ['*.example.com', 'in-folder'],
    ['shop.example.com', 'no-acme'],
    ['x.*', 'no-name'],
  ]);
  expect(hostsForCertificates(found).size).toBe(0);
});
