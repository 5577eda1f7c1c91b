import { expect, test } from 'vitest';
import { healthChanges, type KnownHealth } from './health-change.ts';
import type { RunningServer } from './running-state.ts';

const server = (up: boolean, more: Partial<RunningServer> & { readonly result?: number } = {}): RunningServer => ({
  ...{ host: '127.0.0.1', port: 1, weight: 1, disabled: false, drained: false, up },
  lastCheck: ['0', '0', String(more.result ?? (up ? 3 : 2))],
  ...more,
});
const states = (servers: Readonly<Record<string, RunningServer>>) =>
  new Map([['web', new Map(Object.entries(servers))]]);

/** The changes that a row of states has, one answer of HAProxy after the other. */
function told(...rows: readonly Readonly<Record<string, RunningServer>>[]): readonly string[] {
  let known: KnownHealth = new Map();
  return rows.flatMap((row) => {
    const found = healthChanges(known, states(row));
    known = found.known;
    return found.changes.map(({ id, to }) => `${id} ${to}`);
  });
}

test('a server that was up and fails its checks is down, and up when one passes', () => {
  expect(told({ a: server(true) }, { a: server(true) }, { a: server(false) }, { a: server(true) })).toEqual([
    'a down',
    'a up',
  ]);
});

test('a server that has never been up is no change, nor one in maintenance or gone', () => {
  expect(told({ a: server(false) }, { a: server(false) }, { a: server(true) })).toEqual([]);
  expect(told({ a: server(true) }, { a: server(false, { disabled: true }) }, { a: server(true) })).toEqual([]);
  expect(told({ a: server(true) }, {}, { a: server(false) })).toEqual([]);
});

test('a new worker that takes a server for up without a check is not believed', () => {
  const down = server(false);
  expect(told({ a: server(true) }, { a: down }, { a: server(true, { result: 0 }) }, { a: down })).toEqual(['a down']);
  expect(told({ a: server(true) }, { a: down }, { a: server(true, { result: 0 }) }, { a: server(true) })).toEqual([
    'a down',
    'a up',
  ]);
});
