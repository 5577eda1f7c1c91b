import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatInstance, type Instance, parseInstance } from '../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import type { Parsed } from '../model/parsed.ts';
import { currentOwnerOf, startBeyond } from './ownership.ts';

function value<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const [service, id] = [value(parseServiceName('web')), value(parseInstanceId('a'))];
const instance = (address: string, owner?: string, started?: number): Instance => ({
  ...value(parseInstance(service, id, address)),
  owner,
  started,
});
const ours = instance('10.0.0.1:80', 'o-2', 2000);
const judge = (text: string, stood = true) => currentOwnerOf(ours, text, stood);

describe('a key that another lease holds', () => {
  test.each([
    ['our own value, from an earlier lease', instance('10.0.0.1:80', 'o-2', 2000), 'predecessor'],
    ['our own value, from an earlier address', instance('10.0.0.9:80', 'o-2', 2000), 'predecessor'],
    ['the same address, started before', instance('10.0.0.1:80', 'o-1', 1999), 'predecessor'],
    ['the same address, started later', instance('10.0.0.1:80', 'o-1', 2001), 'successor'],
    ['the same address, in the same millisecond, a smaller name', instance('10.0.0.1:80', 'o-1', 2000), 'predecessor'],
    ['the same address, in the same millisecond, a greater name', instance('10.0.0.1:80', 'o-3', 2000), 'successor'],
    ['the same address, from an older register', instance('10.0.0.1:80', 'o-1'), 'successor'],
    ['another address, started before', instance('10.0.0.2:80', 'o-1', 1), 'another'],
    ['no owner', instance('10.0.0.1:80'), 'hand'],
  ])('%s', (_, standing, kind) => {
    expect(judge(formatInstance(standing)).kind).toBe(kind);
  });

  test.each(['10.0.0.1:80', '{', ''])('that nobody signed: %j', (text) => {
    expect(judge(text)).toEqual({ kind: 'hand', value: text });
  });

  test('from an older register is replaced by a process that was never announced', () => {
    expect(judge(formatInstance(instance('10.0.0.1:80', 'o-1')), false).kind).toBe('predecessor');
  });

  test('is given to exactly one of two processes with the same address, whatever their clocks say', () => {
    const owner = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '1'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(owner, owner, fc.nat(3), fc.nat(3), (one, other, a, b) => {
        fc.pre(one !== other);
        const [first, second] = [instance('10.0.0.1:80', one, a), instance('10.0.0.1:80', other, b)];
        const replaces = [
          currentOwnerOf(first, formatInstance(second), true).kind,
          currentOwnerOf(second, formatInstance(first), true).kind,
        ];
        expect(replaces.sort()).toEqual(['predecessor', 'successor']);
      }),
    );
  });
});

describe('a start that is still to come', () => {
  const from = (started: number) => judge(formatInstance(instance('10.0.0.1:80', 'o-1', started)));

  test('is one of a clock that was set back since, and a new process claims the one after it', () => {
    expect(startBeyond(from(5000), 3000)).toBe(5001);
  });

  test('is none when it has passed: that process is newer', () => {
    expect(startBeyond(from(2500), 3000)).toBeUndefined();
  });

  test('is not believed beyond what a number can hold', () => {
    expect(startBeyond(from(Number.MAX_SAFE_INTEGER), 3000)).toBeUndefined();
  });
});
