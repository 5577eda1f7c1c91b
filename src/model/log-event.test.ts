import { expect, test } from 'vitest';
import { clausesOf, type LogEvent, sentenceOf } from './log-event.ts';

const nothing: LogEvent = {
  id: 1,
  time: '2026-01-01T00:00:00.000Z',
  level: 'info',
  event: 'x',
  msg: 'x',
};

test.each([
  ['nothing but its name', nothing, undefined],
  ['a message', { ...nothing, msg: 'web/*: drain' }, 'web/*: drain'],
  [
    'a reason that the message holds',
    { ...nothing, msg: 'drain is over: expired', reason: 'expired' },
    'drain is over: expired',
  ],
  ['a reason that it does not hold', { ...nothing, msg: 'entry not served', reason: 'no port' }, 'no port'],
  ['a line of HAProxy', { ...nothing, event: 'haproxy', msg: 'HAProxy says', line: 'it stops' }, 'it stops'],
  ['a time, whose clauses tell it', { ...nothing, msg: 'reloaded', ms: 90, reasons: ['a new backend'] }, undefined],
])('an event with %s', (_, event, sentence) => {
  expect(sentenceOf(event)).toBe(sentence);
});

test('steps and reasons are told one by one', () => {
  expect(clausesOf({ ...nothing, what: ['add a'], reasons: ['frame'] })).toEqual(['add a', 'frame']);
  expect(clausesOf(nothing)).toEqual([]);
});
