import pc from 'picocolors';
import { expect, test } from 'vitest';
import { printableLines } from '../model/printable.ts';
import { formatEvent } from './event-lines.ts';

const plain = { colors: pc.createColors(false), width: undefined };
const at = { time: '2026-11-29T21:57:14.309Z', level: 'info' };
/** Without the time, which is that of this machine's zone. */
const told = (event: object, format: Partial<Parameters<typeof formatEvent>[1]> = {}) =>
  formatEvent({ ...at, ...event }, { ...plain, ...format }).replace(/^\d\d:\d\d:14\.309 /, '');

test.each([
  [
    { event: 'applied', revision: '3', ms: 4.32, stages: { wait: 0.03 }, what: ['add server web/a'], changes: 1 },
    'applied  HAProxy serves revision 3 after 4.32ms (wait 0.03ms)\n             add server web/a\n',
  ],
  [
    { event: 'reloaded', msg: 'reloaded', revision: '3', ms: 174, reasons: ['service web is new'] },
    'reloaded  HAProxy was reloaded for revision 3, in 174ms\n             service web is new\n',
  ],
  [
    { level: 'warn', event: 'server-down', key: 'instances/web/a', reason: 'refused', msg: 'web/a is down: refused' },
    'WARN server-down  web/a is down: refused\n',
  ],
  [
    { event: 'first-check-failed', key: 'instances/web/a', reason: 'refused', msg: 'no requests yet' },
    'first-check-failed  web/a: no requests yet: refused\n',
  ],
  [
    { event: 'left', service: 'web', id: 'a', revision: '9', msg: 'out of the registry' },
    'left  web/a: out of the registry (revision 9)\n',
  ],
  [{ event: 'haproxy', line: 'Proxy web stopped', msg: 'HAProxy says' }, 'haproxy  HAProxy says: Proxy web stopped\n'],
  [{ msg: 'a sentence' }, ' a sentence\n'],
])('%j', (event, text) => {
  expect(told(event)).toBe(text);
});

test('a log has the fields that the sentence does not have, the events of a balancer only the sentence', () => {
  const event = {
    event: 'serving',
    msg: 'serving on http://127.0.0.1:80',
    http: '127.0.0.1:80',
    haproxy: '3.2.1',
    ms: 175,
  };
  expect(told(event)).toBe('serving  serving on http://127.0.0.1:80 after 175ms\n');
  expect(told({ ...event, many: [1, 2, 3, 4, 5, 6] }, { withFields: true })).toBe(
    'serving  serving on http://127.0.0.1:80 after 175ms (http=127.0.0.1:80, haproxy=3.2.1, many=6 of them)\n',
  );
});

test('at 80 columns no line is longer, and further lines are indented', () => {
  const event = {
    event: 'applied',
    revision: '3',
    what: ['add server web/a 127.0.0.1:1 weight 100 id 681813481 check inter 2000ms rise 1 fall 3'],
  };
  const lines = told(event, { width: 80 }).split('\n');
  expect(lines.slice(1, 3)).toEqual([
    '             add server web/a 127.0.0.1:1 weight 100 id 681813481 check inter',
    '             2000ms rise 1 fall 3',
  ]);
});

test('what comes from outside steers no terminal, and nothing is lost without colours', () => {
  const event = { level: 'error', event: 'x', msg: 'a\u001b[2J', reason: 'two\nlines' };
  const painted = formatEvent({ ...at, ...event }, { colors: pc.createColors(true), width: 80 });
  expect(printableLines(painted)).toBe(painted);
  expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(formatEvent({ ...at, ...event }, { ...plain, width: 80 }));
  expect(told(event)).toBe('ERROR x  a\\u001b[2J: two lines\n');
});
