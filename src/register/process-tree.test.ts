import { expect, test } from 'vitest';
import { parseStat, withDescendants } from './process-tree.ts';

const stat = (pid: number, name: string, state: string, parent: number, started: number) =>
  `${pid} (${name}) ${state} ${parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ${started} 9 10`;

test('a process is read whatever its name is', () => {
  expect(parseStat(stat(12, 'a) R 1 (b', 'S', 7, 99))).toEqual({ pid: 12, parent: 7, started: 99 });
  expect(parseStat(stat(12, 'sh', 'Z', 7, 99))).toBeUndefined();
  expect(parseStat('')).toBeUndefined();
});

test('the descendants of a process are those of its children too, and nobody else', () => {
  const table = [
    { pid: 5, parent: 3, started: 1 },
    { pid: 2, parent: 1, started: 1 },
    { pid: 3, parent: 2, started: 1 },
    { pid: 4, parent: 1, started: 1 },
    { pid: 6, parent: 4, started: 1 },
  ];
  expect(withDescendants(table, ({ pid }) => pid === 2).map(({ pid }) => pid)).toEqual([2, 3, 5]);
});

test('a table in which a parent comes round to itself is walked once', () => {
  const table = [
    { pid: 2, parent: 3, started: 1 },
    { pid: 3, parent: 2, started: 1 },
  ];
  expect(withDescendants(table, ({ pid }) => pid === 2)).toHaveLength(2);
});
