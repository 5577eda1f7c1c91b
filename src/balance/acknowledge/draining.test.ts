import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { revision } from '../../model/revision.ts';
import { Draining } from './draining.ts';
import type { OpenRequestCount } from './open-requests.ts';

const at = revision(1n);

function folded(states: Readonly<Record<string, string>>) {
  const entries = new Map(
    Object.entries(states).map(([id, state]) => {
      const key = `instances/web/${id}`;
      const value = JSON.stringify({ address: '10.0.0.1:80', state });
      return [key, { key, value, revision: at, leased: true }];
    }),
  );
  return foldEvent(emptyCatalog, { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: 'c', entries });
}

/** Counts what the test says, and hears of each change. */
function start(found: (name: string, nth: number) => OpenRequestCount | undefined) {
  let nth = 0;
  let now = 0;
  let changed: () => void = () => undefined;
  const draining = new Draining({
    async count(servers) {
      nth += 1;
      return new Map(
        servers.flatMap(({ backend, server }): [string, OpenRequestCount][] => {
          const load = found(`${backend}/${server}`, nth);
          if (load === undefined) throw new Error('HAProxy is away');
          return [[`${backend}/${server}`, load]];
        }),
      );
    },
    logger: pino({ level: 'silent' }),
    now: () => now,
    onChange: () => changed(),
  });
  onTestFinished(() => draining.close());
  return {
    draining,
    counts: () => nth,
    pass: (ms: number) => {
      now += ms;
    },
    change: () =>
      new Promise<void>((resolve) => {
        changed = resolve;
      }),
  };
}

const took = (draining: Draining, states: Readonly<Record<string, string>>): void => {
  const { dirty, catalog } = folded(states);
  draining.onApplied(dirty, catalog);
};

test('a server is idle when two counts in a row say so', async () => {
  const { draining, counts, change } = start(() => ({ open: 0, mayGrow: false }));
  took(draining, { a: 'draining', b: 'ready', c: 'maintenance' });
  expect([...draining.counts]).toEqual([['web/a', 'unknown'], ['web/c', 'unknown']]); // biome-ignore format: pairs
  expect(draining.counted).toBe(false);
  await change();
  expect([...draining.counts]).toEqual([['web/a', 0], ['web/c', 0]]); // biome-ignore format: pairs
  expect([draining.counted, counts()]).toEqual([true, 2]);
});

test('a request that is seen only by the second count is waited for', async () => {
  const { draining, counts, change } = start((_, nth) => ({ open: nth === 2 ? 1 : 0, mayGrow: false }));
  took(draining, { a: 'draining' });
  await change();
  expect([...draining.counts]).toEqual([['web/a', 1]]);
  await change();
  expect([...draining.counts]).toEqual([['web/a', 0]]);
  expect(counts()).toBe(4);
});

test('what an old worker may still get is unknown, and for 5 s only', async () => {
  const { draining, change, pass } = start(() => ({ open: 0, mayGrow: true }));
  took(draining, { a: 'draining' });
  await change();
  expect([...draining.counts]).toEqual([['web/a', 'unknown']]);
  pass(5000);
  await change();
  expect([...draining.counts]).toEqual([['web/a', 0]]);
});

test('while HAProxy does not answer nothing is known', async () => {
  const { draining, change } = start((_, nth) => (nth < 3 ? undefined : { open: 2, mayGrow: false }));
  took(draining, { a: 'draining' });
  await change();
  expect([...draining.counts]).toEqual([['web/a', 'unknown']]);
  await change();
  expect([...draining.counts]).toEqual([['web/a', 2]]);
});

test('a server that is ready again, or gone, is not counted any more', () => {
  const { draining } = start(() => ({ open: 1, mayGrow: false }));
  took(draining, { a: 'draining', b: 'draining' });
  const before = folded({ a: 'draining', b: 'draining' }).catalog;
  const { dirty, catalog } = foldEvent(before, {
    kind: 'changes',
    revision: revision(2n),
    changes: [{ kind: 'delete', key: 'instances/web/a', revision: revision(2n) }],
  });
  draining.onApplied(dirty, catalog);
  expect([...draining.counts.keys()]).toEqual(['web/b']);
});
