import { expect, test } from 'vitest';
import { withoutQuoted } from './without-quoted.ts';

const header = '    http-request set-header Authorization "Bearer BADSECRET %[bad"';

test.each([
  ['in whole', "failed to parse 'Bearer BADSECRET %[bad' here", header, "failed to parse '…' here"],
  ['cut into words', "unknown fetch method 'BADSECRET'", header, "unknown fetch method '…'"],
  ['with escapes', "near 'Bearer BADSECRET'", '    set-header A Bearer\\ BADSECRET', "near '…'"],
  ['unfinished', "near 'Bearer BADSECRET'", '    set-header A "Bearer BADSECRET', "near '…'"],
  ['the message of an .alert stays', "'leave --http3 off'.", '    .alert "leave --http3 off"', "'leave --http3 off'."],
  ['a password', "bad password 'hunter22'", '    user ada insecure-password hunter22', "bad password '…'"],
  [
    'words of the language',
    "unknown keyword 'chek' in 'backend'",
    '    server a 10.0.0.1:80 chek',
    "unknown keyword 'chek' in 'backend'",
  ],
])('what HAProxy says of a line is without what is quoted there: %s', (_, says, line, left) => {
  expect(withoutQuoted(says, line)).toBe(left);
});
