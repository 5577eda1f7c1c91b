import { expect, test } from 'vitest';
import { errorText, isJournal, priorityOf } from './journal.ts';

test('a line has a priority only for a standard error that the journal reads', () => {
  const file = { dev: 9n, ino: 14213n };
  expect(isJournal('9:14213', file)).toBe(true);
  expect(isJournal('9:14214', file)).toBe(false);
  expect(isJournal(undefined, file)).toBe(false);
  expect(isJournal('9:14213', undefined)).toBe(false);
});

test('the priorities are those of syslog', () => {
  expect([10, 20, 30, 40, 50, 60].map(priorityOf)).toEqual(['<7>', '<7>', '<6>', '<4>', '<3>', '<3>']);
});

test('each line of an error has its priority', () => {
  expect(errorText('--ttl: too short\n  at x\n', true)).toBe('<3>--ttl: too short\n<3>  at x\n');
  expect(errorText('--ttl: too short\n', false)).toBe('--ttl: too short\n');
});
