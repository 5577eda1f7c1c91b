import { expect, test } from 'vitest';
import { deferred } from './deferred.ts';
import { SerialQueue, Slots } from './serial-queue.ts';

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

test('a task that rests makes room for another one, and goes on before those that have not begun', async () => {
  const slots = new Slots(1, 1);
  const [answer, second] = [deferred(), deferred()];
  const log: string[] = [];
  const tasks = [
    slots.run('first', async (rest) => {
      log.push('first begins');
      await rest(() => answer.promise);
      log.push('first goes on');
    }),
    slots.run('second', async (rest) => {
      log.push('second begins');
      answer.resolve();
      // There is no room for another one that rests.
      await rest(() => second.promise);
      log.push('second ends');
    }),
    slots.run('third', async () => void log.push('third begins')),
  ];
  await answer.promise;
  setImmediate(second.resolve);
  await Promise.all(tasks);
  expect(log).toEqual(['first begins', 'second begins', 'second ends', 'first goes on', 'third begins']);
});
