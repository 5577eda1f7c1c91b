import { expect, test } from 'vitest';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { noLimits } from '../catalog/limits.ts';
import { revision } from '../model/revision.ts';
import { impactOf } from './impact.ts';
import { parseTarget } from './target.ts';

function warningsOf(policy: object, weight: number): readonly string[] {
  const entries = { 'services/web': JSON.stringify(policy), 'instances/web/a': '10.0.0.1:80' };
  const changes = Object.entries(entries).map(([key, value]) => ({
    kind: 'put' as const,
    entry: { key, value, revision: revision(1n), leased: true },
  }));
  const { catalog } = foldEvent(emptyCatalog, { kind: 'changes', revision: revision(1n), changes }, noLimits);
  const override = { effect: { kind: 'weight', weight }, who: 'ada', why: undefined, at: 0, until: undefined } as const;
  return impactOf(catalog, parseTarget('web/a'), override, 0).warnings;
}

test('a weight that is no share of the requests is told as such', () => {
  expect(warningsOf({}, 10)).toEqual([]);
  expect(warningsOf({ balance: 'random' }, 10)).toEqual([]);
  expect(warningsOf({ balance: 'leastconn' }, 10)).toEqual([
    'web has the balance leastconn: a smaller weight means fewer open requests, and makes no difference while few are open',
  ]);
  expect(warningsOf({ mode: 'tcp', port: 5432 }, 10)).toEqual([
    expect.stringMatching(/^web has the balance leastconn: /),
  ]);
  expect(warningsOf({ balance: 'first' }, 10)).toEqual(['web has the balance first: weights have no effect']);
  expect(warningsOf({ balance: 'source' }, 10)).toEqual([expect.stringContaining('not of the requests')]);
  expect(warningsOf({ balance: 'leastconn' }, 0)).toEqual([expect.stringContaining('no instance of web is left')]);
});
