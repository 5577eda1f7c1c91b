import { expect, describe as group, test } from 'vitest';
import { describe, Fault } from './fault.ts';

group('whatever was thrown is told in words', () => {
  const many = new AggregateError([
    new Error('connect ECONNREFUSED ::1:1'),
    new Error('connect ECONNREFUSED 127.0.0.1:1'),
  ]);
  const coded = Object.assign(new Error(''), { code: 'ECONNRESET' });
  test.each([
    [
      'a fault',
      new Fault('settings', 'is not a port', { where: '--port', hint: 'use 1 to 65535' }),
      '--port: is not a port (use 1 to 65535)',
    ],
    ['an error', new Error('no room'), 'no room'],
    ['a file', new Error("EACCES: permission denied, open '/a/b'"), 'permission denied: /a/b'],
    ['two files', new Error("EXDEV: cross-device link, rename '/a' -> '/b'"), 'cross-device link: /a to /b'],
    ['a disk', new Error('ENOSPC: no space left on device, write'), 'no space left on device'],
    [
      'a file that is already the place',
      new Fault('storage', 'it cannot be read: permission denied: /a/b', { where: '/a/b' }),
      '/a/b: it cannot be read: permission denied',
    ],
    ['several addresses that fail', many, 'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1'],
    ['an error with a code only', coded, 'ECONNRESET'],
    ['an error with a cause only', new Error('', { cause: coded }), 'ECONNRESET'],
    ['an error without anything', new TypeError(''), 'TypeError'],
    ['text', 'no room', 'no room'],
    ['nothing', undefined, 'no reason was given'],
    ['null', null, 'no reason was given'],
    ['empty text', '', 'no reason was given'],
  ])('%s', (_, thrown, told) => {
    expect(describe(thrown)).toBe(told);
  });
});
