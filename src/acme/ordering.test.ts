import { expect, test } from 'vitest';
import { withHint } from './ordering.ts';

test('a wrong answer to HTTP-01 hints at a balancer that nobody counts any more', () => {
  expect(withHint('unauthorized: 404', 'http-01')).toMatch(/^unauthorized: 404 \(.*not in `pointsman status`/);
  expect(withHint('dns: no such name', 'http-01')).toBe('dns: no such name');
  expect(withHint('unauthorized: no TXT record', 'dns-01')).toBe('unauthorized: no TXT record');
});
