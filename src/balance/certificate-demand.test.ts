import { expect, test } from 'vitest';
import { foldEntries } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import type { CertificateRules } from '../render/certificate-hosts.ts';
import { changeRoutes, noRoutes } from '../render/routes.ts';
import { CertificateDemand } from './certificate-demand.ts';

const rules: CertificateRules = { hosts: 'declared', allow: [], challenge: 'http-01' };

function tableOf(hosts: readonly string[]) {
  const value = JSON.stringify({ hosts, https: { certificate: 'auto' } });
  const entry = { key: 'services/shop', value, revision: revision(1n), leased: false };
  const { services } = foldEntries(new Map([[entry.key, entry]])).catalog;
  return changeRoutes(noRoutes, services.keys(), services);
}

const demandOf = (its: CertificateRules | undefined, hosts: readonly string[]) => {
  const table = tableOf(hosts);
  return new CertificateDemand({ rules: its, routes: () => table, certificates: () => undefined });
};

test('the hosts that ask are counted with and without --acme, and ordered only with it', () => {
  const hosts = ['a.example.com', 'b.example.com', 'x.*'];
  const ordering = demandOf(rules, hosts);
  expect([ordering.size, [...(ordering.ordered?.keys() ?? [])]]).toEqual([2, ['a.example.com', 'b.example.com']]);
  const without = demandOf(undefined, hosts);
  expect([without.size, without.ordered?.size]).toEqual([2, 0]);
  expect(without.asking()?.hosts.map(({ obstacle }) => obstacle)).toEqual(['no-acme', 'no-acme', 'no-name']);
});

test('a balancer without --acme says nothing where no host asks', () => {
  const none = new CertificateDemand({ rules: undefined, routes: () => noRoutes, certificates: () => undefined });
  expect([none.asking(), none.size, none.ordered?.size]).toEqual([undefined, 0, 0]);
  const early = new CertificateDemand({ rules, routes: () => undefined, certificates: () => undefined });
  expect([early.asking(), early.size, early.ordered]).toEqual([undefined, 0, undefined]);
});

test('the hosts are found again only when routes or certificates change', () => {
  let table = tableOf(['a.example.com']);
  const demand = new CertificateDemand({ rules, routes: () => table, certificates: () => undefined });
  const first = demand.ordered;
  expect(demand.ordered).toBe(first);
  table = tableOf(['a.example.com', 'b.example.com']);
  expect(demand.ordered?.size).toBe(2);
});
