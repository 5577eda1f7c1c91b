import { expect, test } from 'vitest';
import { entry } from '../../../test/support/entries.ts';
import { foldEntries } from '../../catalog/fold-event.ts';
import { Unauthenticated } from './unauthenticated.ts';

const policy = (users: string) => JSON.stringify({ auth: { basic: { users } } });
const problemOf = (file: string) => (file === 'good.users' ? undefined : `/secrets/${file}: no such file`);

function folded(values: Readonly<Record<string, string>>) {
  const entries = Object.entries(values).map(([key, value]) => entry(key, value));
  return foldEntries(new Map(entries.map((one) => [one.key, one])));
}

test('a service whose file of users or keys is not in use is not served, and others are', () => {
  const { catalog, dirty } = folded({
    'services/missing': policy('missing.users'),
    'services/good': policy('good.users'),
    'services/open': '{}',
  });
  const unauthenticated = new Unauthenticated();
  unauthenticated.applied(dirty, catalog);
  expect(unauthenticated.refusals(problemOf)).toEqual([
    {
      key: 'services/missing',
      reason: 'auth: every request is answered with status 503: /secrets/missing.users: no such file',
    },
  ]);
});

test('a service whose policy names another file, or none, or that is gone, is not refused for the file before', () => {
  const before = folded({
    'services/moved': policy('old.users'),
    'services/opened': policy('old.users'),
    'services/gone': policy('old.users'),
  });
  const after = folded({ 'services/moved': policy('new.users'), 'services/opened': '{}' });
  const unauthenticated = new Unauthenticated();
  unauthenticated.applied(before.dirty, before.catalog);
  expect(unauthenticated.refusals(problemOf)).toHaveLength(3);
  unauthenticated.applied(before.dirty, after.catalog);
  expect(unauthenticated.refusals(problemOf)).toEqual([
    {
      key: 'services/moved',
      reason: 'auth: every request is answered with status 503: /secrets/new.users: no such file',
    },
  ]);
});
