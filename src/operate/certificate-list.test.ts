import { expect, test } from 'vitest';
import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord } from '../model/acme/order-record.ts';
import { formatStoredCertificate } from '../model/acme/stored-certificate.ts';
import { type AskingHosts, listCertificates } from './certificate-list.ts';
import { certificateTroubles, describeCertificateState } from './describe-certificate.ts';

// Of shop.example.com, from 2026-11-30 to 2027-02-28.
const pem = `-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIUGGTnuMQm4qtA52wgsBeiJBSqzX8wCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTAeFw0yNjExMzAwNzQzMDJaFw0y
NzAyMjgwNzQzMDJaMBsxGTAXBgNVBAMMEHNob3AuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQN8hvQUZGa+IrICGT5U2pn8gjhPK8Z7cE6ZNDZ
8EUS7z3cX5w05o6I4ITATE88c+Ama1SUvcU+18JLv9ddqWu5o3AwbjAdBgNVHQ4E
FgQUEJE/pbO1dFJJw4gbogr8qqBsTDAwHwYDVR0jBBgwFoAUEJE/pbO1dFJJw4gb
ogr8qqBsTDAwDwYDVR0TAQH/BAUwAwEB/zAbBgNVHREEFDASghBzaG9wLmV4YW1w
bGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIQDqftPuCCOzVjszETdX9jMgs4EUO2MB
5tzvTbZcqRfHbAIgUNMkFH/OimDHj5uw52zuhSIFxZeDLIhA3HIz9rEgXko=
-----END CERTIFICATE-----
`;
const validUntil = '2027-02-28T07:43:02.000Z';
const now = Date.parse('2026-12-01T00:00:00.000Z');
const authority = 'https://acme.example.com/directory';
const waiting: OrderRecord = {
  ...{ reason: 'first', stage: 'waiting', authority, failures: 0 },
  ...{ order: undefined, key: undefined, error: undefined, nextTry: undefined },
};
const stored = (host: string, more: object = {}) => ({
  key: certificateKey(host),
  value: formatStoredCertificate({
    ...{ certificate: pem, key: 'v1.x.y', issuedAt: '2026-11-30T00:00:00.000Z', authority },
    ...{ renewAt: '2027-01-29T00:00:00.000Z', renewBy: 'lifetime', ...more },
  }),
});
const order = (host: string, more: Partial<OrderRecord>) => ({
  key: orderKey(host),
  value: formatOrderRecord({ ...waiting, ...more }),
});
const asking = (...hosts: AskingHosts['hosts']): AskingHosts => ({ hosts, folder: [] });
const host = 'shop.example.com';
const one = (...args: Parameters<typeof listCertificates>) => {
  const [first, ...others] = listCertificates(...args);
  expect(others).toEqual([]);
  if (first === undefined) throw new Error('nothing is listed');
  return first;
};

test('a certificate of the registry is listed with its service, its end and its renewal', () => {
  expect(one([stored(host)], asking({ host, service: 'shop' }), now)).toEqual({
    ...{ host, service: 'shop', source: 'acme', authority, validUntil, asked: false },
    ...{ renewAt: '2027-01-29T00:00:00.000Z', nextTry: undefined, state: { kind: 'valid' } },
  });
});

test('a certificate that an operator wrote is told from an ordered one', () => {
  expect(one([stored(host, { authority: undefined })], undefined, now).source).toBe('registry');
});

test('a host that has no certificate yet is listed', () => {
  expect(one([], asking({ host, service: 'shop' }), now)).toMatchObject({
    source: undefined,
    state: { kind: 'waiting' },
  });
});

test('a failed order says how often it failed, why, and when it is tried again', () => {
  const nextTry = '2026-12-01T00:05:00.000Z';
  const failed = one(
    [order(host, { failures: 3, error: 'DNS has no address', nextTry })],
    asking({ host, service: 'shop' }),
    now,
  );
  expect(failed).toMatchObject({ nextTry, authority });
  expect(describeCertificateState(failed)).toBe('failed 3 times: DNS has no address');
  expect(certificateTroubles([failed], now)).toEqual([
    {
      kind: 'note',
      says: 'shop.example.com has no certificate: DNS has no address (failed 3×, the next try is in 5m)',
    },
  ]);
});

test('a failed renewal says how long the present certificate serves', () => {
  const failed = one([stored(host), order(host, { reason: 'renewal', failures: 1, error: 'no' })], undefined, now);
  expect(certificateTroubles([failed], now)[0]?.says).toMatch(
    /^shop.example.com has a certificate for 8\dd .* more, and no new one: no/,
  );
});

test('an authority that cannot be reached is told although the host is not to blame', () => {
  const nextTry = '2026-12-01T00:05:00.000Z';
  const unreached = order(host, { reason: 'renewal', error: 'ca: ECONNREFUSED', nextTry });
  const failed = one([stored(host), unreached], undefined, now);
  expect(failed).toMatchObject({ nextTry, state: { kind: 'failing', failures: 0 } });
  expect(describeCertificateState(failed)).toBe('failed: ca: ECONNREFUSED');
  const [trouble] = certificateTroubles([failed], now);
  expect(trouble).toMatchObject({ kind: 'note', says: expect.stringContaining('(the next try is in 5m)') });
  // Half of the time between the renewal and the end is over.
  expect(certificateTroubles([failed], Date.parse('2027-02-14T00:00:00Z'))[0]?.kind).toBe('bad');
});

test('a certificate near its end that nobody renews is a trouble', () => {
  const listed = one([stored(host)], undefined, now);
  expect(certificateTroubles([listed], Date.parse('2027-02-01T00:00:00Z'))).toEqual([]);
  expect(certificateTroubles([listed], Date.parse('2027-02-27T07:43:02Z'))).toEqual([
    {
      kind: 'bad',
      says: 'shop.example.com has a certificate for 1d more, and no new one, although its renewal is due',
    },
  ]);
});

test.each([
  ['an order under way', [order(host, { stage: 'answered' })], 'ordering (answered)'],
  ['an entry that cannot be read', [{ key: certificateKey(host), value: '{' }], 'its entry cannot be read'],
  [
    'a renewal that is asked for',
    [stored(host), { key: renewalKey(host), value: '{}' }],
    'valid; a new one is asked for',
  ],
])('%s is described', (_, entries, text) => {
  expect(describeCertificateState(one(entries, undefined, now))).toContain(text);
});

test('a certificate that has ended is a trouble', () => {
  const ended = listCertificates([stored(host)], undefined, Date.parse('2028-01-01T00:00:00Z'));
  expect(certificateTroubles(ended, now)).toEqual([
    { kind: 'bad', says: 'the certificate of shop.example.com has ended' },
  ]);
});

test('a host that may have no certificate says why', () => {
  const list = listCertificates([], asking({ host: '*.example.com', service: 'shop', obstacle: 'needs-dns-01' }), now);
  expect(certificateTroubles(list, now)).toEqual([
    { kind: 'note', says: '*.example.com gets no certificate: a wildcard needs --acme-challenge dns-01' },
  ]);
});

test('a certificate of a folder goes before one of the registry', () => {
  const folder = [{ name: 'wild', names: ['*.example.com'], notAfter: '2027-06-01T00:00:00.000Z' }];
  const list = listCertificates([stored(host)], { hosts: [], folder }, now);
  expect(list.map((listed) => [listed.host, listed.source, listed.validUntil])).toEqual([
    ['*.example.com', 'folder', '2027-06-01T00:00:00.000Z'],
    [host, 'folder', '2027-06-01T00:00:00.000Z'],
  ]);
});

test('a certificate that balancers do not serve is not called valid', () => {
  const refusals = [
    { balancer: 'lb-1', host, reason: 'its private key cannot be opened' },
    { balancer: 'lb-2', host, reason: 'this balancer serves no HTTPS' },
    { balancer: 'lb-3', host, reason: 'its private key cannot be opened' },
    { balancer: 'lb-3', host: 'gone.example.com', reason: 'HAProxy does not have it yet' },
  ];
  const refused = one([stored(host)], undefined, now, refusals);
  expect(refused.state).toMatchObject({ kind: 'refused', by: [{ balancer: 'lb-1' }, {}, {}] });
  expect(describeCertificateState(refused)).toBe(
    'refused by lb-1, lb-3: its private key cannot be opened; by lb-2: this balancer serves no HTTPS',
  );
  // Each balancer's own status says it.
  expect(certificateTroubles([refused], now)).toEqual([]);
  expect(certificateTroubles([refused], Date.parse('2027-02-27T07:43:02Z'))).toHaveLength(1);
});

test('hosts that ask where no balancer orders are one line', () => {
  const hosts = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}.example.com`);
  const list = listCertificates(
    [],
    asking(...hosts.map((name) => ({ host: name, service: 'shop', obstacle: 'no-acme' }))),
    now,
  );
  expect(certificateTroubles(list, now)).toEqual([
    {
      kind: 'note',
      says: 'a.example.com, b.example.com, c.example.com and 2 more get no certificate: no balancer runs with --acme',
    },
  ]);
  expect(list.map(describeCertificateState)[0]).toBe('not ordered: no balancer runs with --acme');
});
