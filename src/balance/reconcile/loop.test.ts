import { expect, test } from 'vitest';
import { Loop, type Task, Timers } from './loop.ts';

test('a task that is always due leaves others their turn, whatever their order', async () => {
  const done: string[] = [];
  const waiting = new Set(['reload', 'removal']);
  const once = (name: string): Task => ({
    name,
    due: () => waiting.has(name),
    run: async () => {
      waiting.delete(name);
      done.push(name);
    },
  });
  const always: Task = {
    name: 'round',
    yields: true,
    due: () => done.length < 6,
    run: async () => void done.push('round'),
  };
  const loop = new Loop(new Timers(() => undefined));
  loop.begin({
    tasks: [always, once('reload'), once('removal')],
    onFailure: () => true,
    onDone: () => undefined,
    dueInMs: () => undefined,
  });
  await loop.turning;
  expect(done).toEqual(['round', 'reload', 'round', 'removal', 'round', 'round']);
});
