import { expect, test } from 'vitest';
import { startChild } from './child.ts';

test('a process that does not end is killed with what it has started, which would keep its output open', async () => {
  const child = startChild('stubborn', ['sh', '-c', "trap '' TERM; sleep 300 & wait"], () => undefined);
  await child.stop(100);
  expect(await child.ended).toBe('SIGKILL');
});
