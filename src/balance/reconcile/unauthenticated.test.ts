import { expect, test } from 'vitest';
import { entry } from '../../../test/support/entries.ts';
import { foldEntries } from '../../catalog/fold-event.ts';
import { unauthenticated } from './unauthenticated.ts';

test('a service whose file of users or keys is not in use is not served, and others are', () => {
  const policy = (users: string) => JSON.stringify({ auth: { basic: { users } } });
  const entries = [
    entry('services/missing', policy('missing.users')),
    entry('services/good', policy('good.users')),
    entry('services/open', '{}'),
  ];
  const { catalog } = foldEntries(new Map(entries.map((one) => [one.key, one])));
  const problemOf = (file: string) => (file === 'good.users' ? undefined : `/secrets/${file}: no such file`);
  expect(unauthenticated(catalog, problemOf)).toEqual([
    {
      key: 'services/missing',
      reason: 'auth: every request is answered with status 503: /secrets/missing.users: no such file',
    },
  ]);
});
