import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CommandTurns, patienceMs } from './command-turns.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const hang = () => new Promise<never>(() => undefined);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('eight commands begin at once, and the next one when one of them ends', async () => {
  const turns = new CommandTurns();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  for (let n = 1; n <= 9; n += 1) {
    void turns.run(String(n), () => {
      begun.push(String(n));
      return new Promise<void>((end) => ends.push(end));
    });
  }
  await pass(1);
  expect(begun).toHaveLength(8);
  ends[3]?.();
  await pass(1);
  expect(begun).toHaveLength(9);
});

test('commands that hang give their turn back, and the next time keep nobody waiting but each other', async () => {
  const turns = new CommandTurns();
  for (let n = 1; n <= 16; n += 1) void turns.run(String(n), hang);
  let begun = 0;
  const neighbour = async () => {
    begun += 1;
  };
  void turns.run('neighbour', neighbour);
  await pass(patienceMs + 1);
  expect(begun).toBe(0);
  await pass(patienceMs + 1);
  expect(begun).toBe(1);
  for (let n = 1; n <= 16; n += 1) void turns.run(String(n), hang);
  void turns.run('neighbour', neighbour);
  await pass(1);
  expect(begun).toBe(2);
});

test('a command that was quick again is no slow one any more', async () => {
  const turns = new CommandTurns();
  const slow = turns.run('a', () => new Promise<void>((end) => setTimeout(end, patienceMs * 2)));
  await pass(patienceMs * 2 + 1);
  await slow;
  expect(turns.wasSlow('a')).toBe(true);
  await turns.run('a', async () => undefined);
  expect(turns.wasSlow('a')).toBe(false);
});
