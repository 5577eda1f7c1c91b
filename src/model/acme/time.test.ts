import { expect, test } from 'vitest';
import { formatOrderRecord, type OrderRecord, parseOrderRecord } from './order-record.ts';
import { formatStoredCertificate, parseStoredCertificate, type StoredCertificate } from './stored-certificate.ts';

const stored: StoredCertificate = {
  ...{
    certificate: 'pem',
    key: 'v1.a.b',
    issuedAt: '2026-01-01T00:00:00.000Z',
    authority: 'https://ca.example.com/dir',
  },
  ...{ renewAt: '2026-02-01T00:00:00+01:00', renewBy: 'lifetime' },
};
const record: OrderRecord = {
  ...{ reason: 'first', stage: 'waiting', order: undefined, key: undefined, authority: 'https://ca.example.com/dir' },
  ...{ failures: 1, error: 'no', nextTry: '2026-01-01T00:00:00Z' },
};

test('times of entries are read', () => {
  expect(parseStoredCertificate(formatStoredCertificate(stored)).ok).toBe(true);
  expect(parseOrderRecord(formatOrderRecord(record)).ok).toBe(true);
});

test.each(['2026-01-01T00:00:00+01', '2026-01-01 0:00', 'soon'])('%s is refused as a time of an entry', (renewAt) => {
  const reason = { ok: false, reason: expect.stringMatching(/it is not a time/) };
  expect(parseStoredCertificate(formatStoredCertificate({ ...stored, renewAt }))).toEqual(reason);
  expect(parseOrderRecord(formatOrderRecord({ ...record, nextTry: renewAt }))).toEqual(reason);
});
