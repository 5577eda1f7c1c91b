import { expect, test } from 'vitest';
import { describeUnasked, unaskedOf } from './unasked.ts';

test('balancers that could not be asked are named by reason, with what to do', () => {
  const unasked = unaskedOf([
    { id: 'a', admin: { reason: 'refused' } },
    { id: 'b', admin: { at: '10.0.0.1:8404' } },
    { id: 'c', admin: { reason: 'refused' } },
    { id: 'd', admin: { at: '10.0.0.2:8404' }, unread: 'no JSON' },
  ]);
  expect(describeUnasked(unasked)).toEqual([
    'a, c: refused',
    'd: no JSON',
    'UP and DOWN are unknown there: run pointsman status on that machine, or give --admin HOST:PORT',
  ]);
  expect(describeUnasked([])).toEqual([]);
});
