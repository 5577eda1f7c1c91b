import { expect, test } from 'vitest';
import { parseAccessLine } from './access-line.ts';

test('a line of the access log is read, and nothing else that HAProxy prints', () => {
  expect(parseAccessLine('{"event":"request","path":"/a","status":200}')).toEqual({
    event: 'request',
    path: '/a',
    status: 200,
  });
  expect(parseAccessLine('[ALERT] (7) : {"event":"request"}')).toBeUndefined();
  expect(parseAccessLine('{"event":"own"}')).toBeUndefined();
});

test.each([
  ['{"event":"request","host":"[ALERT] (7) : Server web/a is DOWN', 'request'],
  ['{"event":"re', 'request'],
  ['{"event":"connection","bytes":', 'connection'],
  ['{"event":"reload"}', 'request'],
])('a line of the access log that cannot be read stays one, with its text: %s', (line, event) => {
  expect(parseAccessLine(line)).toEqual({ event, line });
});
