import { expect, test } from 'vitest';
import { type AskingHosts, listCertificates } from '../operate/certificate-list.ts';
import { neverOrdered } from './never-ordered.ts';

const host = 'shop.example.com';
const reason = (asking: Partial<AskingHosts>, isComplete = true) => {
  const list = listCertificates([], { hosts: [], folder: [], ...asking }, 0);
  return neverOrdered(host, { list, hasLeader: true, unasked: undefined, isComplete });
};
const asks = (obstacle?: string): Partial<AskingHosts> => ({ hosts: [{ host, service: 'shop', obstacle }] });

test('a wait for a certificate that nobody orders says why', () => {
  expect(reason({})).toMatch(/^no service asks for one: put "https": \{"certificate": "auto"\}/);
  expect(reason(asks('no-acme'))).toBe('no balancer runs with --acme');
  expect(reason(asks('not-allowed'))).toBe('--acme-allow does not name it');
  const folder = [{ name: 'shop', names: [host], notAfter: '2099-01-01T00:00:00Z' }];
  expect(reason({ folder })).toBe('a certificate of --certificates is for it');
});

test('a certificate that is ordered, or that an unknown balancer may order, is waited for', () => {
  expect(reason(asks())).toBeUndefined();
  expect(reason({}, false)).toBeUndefined();
  expect(reason(asks('no-acme'), false)).toBeUndefined();
});
