import { expect, test } from 'vitest';
import { certificateKey } from '../model/acme/keys.ts';
import { formatStoredCertificate } from '../model/acme/stored-certificate.ts';
import { arrivingCertificates } from './arriving-certificates.ts';

const now = Date.parse('2026-12-01T00:00:00Z');
const issued = (host: string, issuedAt: string) => ({
  key: certificateKey(host),
  value: formatStoredCertificate({
    ...{ certificate: 'pem', key: 'v1.x.y', issuedAt, authority: undefined, renewAt: undefined, renewBy: undefined },
  }),
});

test('a certificate is on its way to the balancers for some seconds after it was issued', () => {
  const entries = [
    issued('new.example.com', '2026-11-30T23:59:52Z'),
    issued('ahead.example.com', '2026-12-01T00:00:02Z'),
    issued('old.example.com', '2026-11-30T23:59:45Z'),
    { key: certificateKey('bad.example.com'), value: '{}' },
    { key: 'services/web', value: '{}' },
  ];
  expect([...arrivingCertificates(entries, now)]).toEqual([
    'certificates/new.example.com',
    'certificates/ahead.example.com',
  ]);
});
