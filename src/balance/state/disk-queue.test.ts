import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { deferred } from '../../waiting/deferred.ts';
import { DiskQueue } from './disk-queue.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const hanging = { code: 'storage', message: 'the disk does not answer', where: '/x' };

function start() {
  const done: string[] = [];
  const queue = new DiskQueue(() => done.push('late'));
  queue.beQuick();
  const work = (name: string) => async () => void done.push(name);
  return { queue, done, work };
}

test('one is done after the other, also after one that failed', async () => {
  const { queue, done, work } = start();
  const disk = deferred();
  const first = queue.inTurn(async () => {
    await disk.promise;
    done.push('a');
    throw new Error('full');
  });
  const second = queue.soon('/x', work('b'));
  disk.resolve();
  await expect(first).rejects.toThrow('full');
  await second;
  expect(done).toEqual(['a', 'b']);
});

test('what hangs is given up and goes on; meanwhile nobody else waits', async () => {
  const { queue, done, work } = start();
  const disk = deferred();
  const slow = queue.soon('/x', async () => {
    await disk.promise;
    done.push('a');
  });
  const given = expect(slow).rejects.toMatchObject(hanging);
  await vi.advanceTimersByTimeAsync(2000);
  await given;
  await expect(queue.soon('/x', work('b'))).rejects.toMatchObject(hanging);
  disk.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(done).toEqual(['a', 'late']);
  await queue.soon('/x', work('c'));
  expect(done).toEqual(['a', 'late', 'c']);
});

test('what waited behind something that hangs is not done any more once it was given up', async () => {
  const { queue, done, work } = start();
  const disk = deferred();
  const slow = queue.inTurn(() => disk.promise);
  const given = expect(queue.soon('/x', work('b'))).rejects.toMatchObject(hanging);
  await vi.advanceTimersByTimeAsync(2000);
  await given;
  disk.resolve();
  await slow;
  await vi.advanceTimersByTimeAsync(0);
  expect(done).toEqual([]);
});

test('a slow disk is waited for longer each time, until it was quick enough', async () => {
  const { queue, done } = start();
  const write = () => queue.soon('/x', () => new Promise((resolve) => setTimeout(resolve, 3000)));
  const given = expect(write()).rejects.toMatchObject(hanging);
  await vi.advanceTimersByTimeAsync(3000);
  await given;
  const second = write();
  await vi.advanceTimersByTimeAsync(3000);
  await second;
  queue.beQuick();
  const third = expect(write()).rejects.toMatchObject(hanging);
  await vi.advanceTimersByTimeAsync(3000);
  await third;
  expect(done).toEqual(['late', 'late']);
  queue.bePatient();
  const last = write();
  await vi.advanceTimersByTimeAsync(3000);
  await last;
});
