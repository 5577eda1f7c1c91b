import { expect, test } from 'vitest';
import { parseAccessLine, parseHealthLine } from './output.ts';

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

const rest = '0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.';

test.each([
  [
    `[WARNING]  (7) : Server web/a is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms. ${rest}`,
    { to: 'down', service: 'web', id: 'a', result: 'Layer4 connection problem, info: "Connection refused"' },
  ],
  [
    `[WARNING]  (7) : Server web/a-1 is UP, reason: Layer7 check passed, code: 200, check duration: 1ms. ${rest}`,
    { to: 'up', service: 'web', id: 'a-1', result: 'Layer7 check passed, code: 200' },
  ],
  [
    `[WARNING]  (7) : CLI : Server web/a is DOWN, reason: Layer7 timeout, check duration: 2000ms. ${rest}`,
    { to: 'down', service: 'web', id: 'a', result: 'Layer7 timeout' },
  ],
  [`[WARNING]  (7) : CLI : Server web/a is DOWN, changed from CLI. ${rest}`, undefined],
  ['[ALERT]    (7) : backend web has no server available!', undefined],
  ['[WARNING]  (7) : Server web/a is going DOWN for maintenance (manual). 0 active', undefined],
  ['Server web/a is DOWN, reason: x', undefined],
])('%s', (line, event) => {
  expect(parseHealthLine(line)).toEqual(event);
});
