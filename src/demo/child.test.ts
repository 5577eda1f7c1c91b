import { expect, test } from 'vitest';
import { type DemoChild, startChild } from './child.ts';

test('a process that does not end is killed with what it has started, which would keep its output open', async () => {
  const script = "trap '' TERM; echo trapped; sleep 300 & wait";
  const child = await new Promise<DemoChild>((resolve) => {
    const started = startChild('stubborn', ['sh', '-c', script], () => resolve(started));
  });
  await child.stop(100);
  expect(await child.ended).toBe('SIGKILL');
});
