import { expect, test } from 'vitest';
import { Silence } from './leases.ts';

const ttlMs = 1000;

test('a lease whose heartbeat goes on lives, whatever its clock says', () => {
  const silence = new Silence(500);
  for (let now = 0; now < 60_000; now += 200) {
    // The owner's clock runs backwards, and started in the future.
    expect(silence.look('a', { beat: BigInt(1e15 - now), ttlMs }, -5_000, now)).toBe(false);
  }
});

test('a lease that is silent for longer than its TTL is dead', () => {
  const silence = new Silence(500);
  const look = (now: number) => silence.look('a', { beat: 7n, ttlMs }, 0, now);
  expect([0, 400, 800, 1000].map(look)).toEqual([false, false, false, false]);
  expect(look(1001)).toBe(true);
});

test('at the first look the age of the file counts, since nothing else is known', () => {
  expect(new Silence(500).look('a', { beat: 7n, ttlMs }, 1001, 0)).toBe(true);
  expect(new Silence(500).look('a', { beat: 7n, ttlMs }, 999, 0)).toBe(false);
});

test('who slept himself does not count the time of his sleep', () => {
  const silence = new Silence(500);
  silence.look('a', { beat: 7n, ttlMs }, 0, 0);
  expect(silence.look('a', { beat: 7n, ttlMs }, 0, 3_600_000)).toBe(false);
  expect(silence.look('a', { beat: 8n, ttlMs }, 0, 3_600_100)).toBe(false);
});

test('a heartbeat brings a dead lease back', () => {
  const silence = new Silence(5000);
  silence.look('a', { beat: 7n, ttlMs }, 0, 0);
  expect(silence.look('a', { beat: 7n, ttlMs }, 0, 1500)).toBe(true);
  expect(silence.look('a', { beat: 8n, ttlMs }, 0, 1600)).toBe(false);
});

test('a lease whose file is missing has a TTL to be beaten again', () => {
  const silence = new Silence(5000);
  expect(silence.look('a', { beat: undefined, ttlMs }, 0, 0)).toBe(false);
  expect(silence.look('a', { beat: undefined, ttlMs }, 0, 1001)).toBe(true);
});
