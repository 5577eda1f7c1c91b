import { expect, test } from 'vitest';
import { certificateTrouble, endOf } from './certificate-ends.ts';

const now = new Date('2026-11-29T12:00:00Z');
const notBefore = '2026-01-01T00:00:00Z';
const certificate = (name: string, notAfter: string) => ({
  ...{ name, names: [name], notBefore, notAfter },
  source: 'folder' as const,
});

test('a certificate that ends within 21 days is a note, and within 7 days or in the past a problem', () => {
  const of = (notAfter: string) => endOf({ notBefore, notAfter }, now);
  expect(of('2027-01-29T12:00:00Z')).toEqual({ kind: 'good', says: 'ends in 61 days' });
  expect(of('2026-12-10T12:00:00Z')).toEqual({ kind: 'note', says: 'ends in 11 days' });
  expect(of('2026-11-30T13:00:00Z')).toEqual({ kind: 'bad', says: 'ends in 25 hours' });
  expect(of('2026-11-27T11:00:00Z')).toEqual({ kind: 'bad', says: 'ended 2 days ago' });
});

test('a certificate that is valid for a few days is a problem in the last tenth of them only', () => {
  const of = (notAfter: string) => endOf({ notBefore: '2026-11-25T12:00:00Z', notAfter }, now);
  expect(of('2026-12-01T12:00:00Z')).toEqual({ kind: 'good', says: 'ends in 2 days' });
  expect(of('2026-11-30T12:00:00Z')).toEqual({ kind: 'note', says: 'ends in 24 hours' });
  expect(of('2026-11-29T18:00:00Z')).toEqual({ kind: 'bad', says: 'ends in 6 hours' });
});

test('only certificates that have to be renewed are trouble, the first to end first', () => {
  const all = [
    certificate('c', '2028-01-01T00:00:00Z'),
    certificate('b', '2026-12-10T12:00:00Z'),
    certificate('a', '2026-11-01T00:00:00Z'),
  ];
  expect([...certificateTrouble(all, now)].map(({ says }) => says)).toEqual([
    'The certificate a ended 28 days ago.',
    'The certificate b ends in 11 days.',
  ]);
});
