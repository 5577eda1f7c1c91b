import { describe, expect, test } from 'vitest';
import { parseAddress } from '../model/address.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import type { Parsed } from '../model/parsed.ts';
import { changesBetween, type PlacedInstance, placeInstances } from './declared-files.ts';
import type { Declared } from './registration.ts';

function value<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

function declared(id: string, address = '10.0.0.1:80', weight = 100): Declared {
  return {
    instance: {
      service: value(parseServiceName('web')),
      id: value(parseInstanceId(id)),
      address: value(parseAddress(address)),
      weight,
      state: 'ready',
      version: undefined,
      zone: undefined,
      role: 'active',
      meta: {},
      writtenAt: undefined,
      owner: 'o',
    },
    check: undefined,
    rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
    unhealthy: 'withdraw',
  };
}

const nothing: ReadonlyMap<string, PlacedInstance> = new Map();
const place = (files: Record<string, Declared>, before = nothing) =>
  placeInstances(new Map(Object.entries(files)), before);
const filesOf = (placed: ReadonlyMap<string, PlacedInstance>) =>
  Object.fromEntries([...placed].map(([name, { file }]) => [name, file]));

describe('two files that declare one instance', () => {
  test('the first by name has it, and the other one is told', () => {
    const { placed, doubled } = place({ 'b.yaml': declared('x'), 'a.yaml': declared('x'), 'c.yaml': declared('y') });
    expect(filesOf(placed)).toEqual({ 'web/x': 'a.yaml', 'web/y': 'c.yaml' });
    expect(doubled).toEqual([{ file: 'b.yaml', name: 'web/x', other: 'a.yaml' }]);
  });

  test('the one that had it keeps it', () => {
    const before = place({ 'b.yaml': declared('x') }).placed;
    const { placed, doubled } = place({ 'a.yaml': declared('x'), 'b.yaml': declared('x') }, before);
    expect(filesOf(placed)).toEqual({ 'web/x': 'b.yaml' });
    expect(doubled).toEqual([{ file: 'a.yaml', name: 'web/x', other: 'b.yaml' }]);
    expect(filesOf(place({ 'a.yaml': declared('x') }, placed).placed)).toEqual({ 'web/x': 'a.yaml' });
  });
});

describe('from what is announced to what is declared', () => {
  const kinds = (before: Record<string, Declared>, after: Record<string, Declared>) =>
    changesBetween(place(before).placed, place(after).placed).map(({ kind, name }) => `${kind} ${name}`);

  test('begins, updates and retires just what differs', () => {
    expect(
      kinds(
        { 'a.yaml': declared('a'), 'b.yaml': declared('b'), 'c.yaml': declared('c') },
        { 'a.yaml': declared('a'), 'b.yaml': declared('b', '10.0.0.1:80', 5), 'd.yaml': declared('d') },
      ),
    ).toEqual(['retire web/c', 'update web/b', 'begin web/d']);
  });

  test('a file with another name and the same instance changes nothing', () => {
    expect(kinds({ 'a.yaml': declared('a') }, { 'z.yaml': declared('a') })).toEqual([]);
  });

  test('another id is another instance', () => {
    expect(kinds({ 'a.yaml': declared('a') }, { 'a.yaml': declared('b') })).toEqual(['retire web/a', 'begin web/b']);
  });
});
