import { expect, test } from 'vitest';
import { deferred } from './deferred.ts';
import { SerialQueue } from './serial-queue.ts';

test('a task begins when the task before it has ended, also when that one rejected', async () => {
  const queue = new SerialQueue();
  const disk = deferred();
  const log: string[] = [];
  const first = queue.run(async () => {
    log.push('first begins');
    await disk.promise;
    throw new Error('full');
  });
  const second = queue.run(async () => {
    log.push('second begins');
    return 2;
  });
  const idle = queue.idle().then(() => log.push('idle'));
  disk.resolve();
  await expect(first).rejects.toThrow('full');
  expect(await second).toBe(2);
  await idle;
  expect(log).toEqual(['first begins', 'second begins', 'idle']);
});

test('an empty queue is idle', async () => {
  await new SerialQueue().idle();
});
