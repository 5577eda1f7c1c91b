import { expect, test } from 'vitest';
import { endOnSignals } from './signals.ts';

test('a signal that comes while the process is leaving says how it ends, and one after that does not', () => {
  const stages = endOnSignals(['SIGTERM', 'SIGUSR2'], (name) => name === 'SIGTERM');
  process.emit('SIGTERM', 'SIGTERM');
  expect(stages.received()).toBe('SIGTERM');
  process.emit('SIGUSR2', 'SIGUSR2');
  expect(stages.received()).toBe('SIGUSR2');
  process.emit('SIGTERM', 'SIGTERM');
  expect(stages.received()).toBe('SIGUSR2');
});

test.each([
  [true, false],
  [false, true],
])('where a signal lingers (%s), the end has begun when leaving begins: %s', (lingers, begun) => {
  const stages = endOnSignals(['SIGUSR2'], () => lingers);
  let seen: boolean | undefined;
  stages.leaving.addEventListener('abort', () => {
    seen = stages.signal.aborted;
  });
  process.emit('SIGUSR2', 'SIGUSR2');
  expect(seen).toBe(begun);
  process.emit('SIGUSR2', 'SIGUSR2');
  expect(stages.signal.aborted).toBe(true);
  // The listener is gone after the last stage; without a lame duck that was the second signal.
  if (lingers) process.emit('SIGUSR2', 'SIGUSR2');
  expect(stages.hurry.aborted).toBe(true);
});
