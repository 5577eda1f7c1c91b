import pc from 'picocolors';
import { expect, test } from 'vitest';
import { describePlans } from './diff-text.ts';

test('a balancer that was not asked is told with what is missing to ask it, and not with a flag that was given', () => {
  const asked = { groups: [], notAsked: [{ id: 'lb-3', reason: 'its admin port listens on its own machine only' }] };
  const lines = (hasToken: boolean) => describePlans(asked, hasToken, pc.createColors(false));
  expect(lines(false)).toContain('(balance --admin HOST:PORT), and give its token (--admin-token-file FILE)');
  expect(lines(true)).toContain('(balance --admin HOST:PORT).');
  expect(lines(true)).not.toContain('--admin-token-file');
});
