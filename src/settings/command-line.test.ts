import { expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';

test.each<[string, readonly string[]]>([
  ['nginx -t -c {{staged}}', ['nginx', '-t', '-c', '{{staged}}']],
  ['  a   b\tc ', ['a', 'b', 'c']],
  [`sh -c 'a && b "$C"'`, ['sh', '-c', 'a && b "$C"']],
  [`a "b c"d ''`, ['a', 'b cd', '']],
  ['ls ~/*.conf', ['ls', '~/*.conf']],
])('%j are the words %j', (text, words) => {
  expect(parseCommandLine(text)).toEqual({ ok: true, value: words });
});

test.each([
  ['', 'a command is missing'],
  ["''", 'a command is missing'],
  ['a | b', `"|" needs a shell in "a | b": write sh -c '…'`],
  ['a && b', `"&" needs a shell`],
  ['a > b', `">" needs a shell`],
  ['a $HOME', `"$" needs a shell`],
  ['a `b`', `"\`" needs a shell`],
  [`a 'b`, `a ' is not closed`],
  [`a "$b"`, 'a $, ` or \\ cannot be within'],
])('%j is refused', (text, reason) => {
  expect(parseCommandLine(text)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
});
