import { expect, test } from 'vitest';
import { parseValidationOutput } from './check.ts';

// As HAProxy 2.6.12 writes it.
const refused = `[NOTICE]   (123) : haproxy version is 2.6.12-1+deb12u4
[NOTICE]   (123) : path to executable is /usr/sbin/haproxy
[ALERT]    (123) : config : parsing [/x/haproxy.cfg:12] : unknown keyword 'frobnicate' in 'defaults' section
[ALERT]    (123) : config : Error(s) found in configuration file : /x/haproxy.cfg
[ALERT]    (123) : config : Fatal errors found in configuration.
`;

test('what HAProxy refuses is told with its line, without the lines that only repeat it', () => {
  expect(parseValidationOutput(refused)).toEqual([
    { line: 12, text: "unknown keyword 'frobnicate' in 'defaults' section" },
  ]);
});

test('an output that is not understood is not lost', () => {
  expect(parseValidationOutput('Segmentation fault\n')).toEqual([{ line: undefined, text: 'Segmentation fault' }]);
});

// As 2.6.12 and 3.4.7 write what they find after parsing.
test.each([
  [
    "[ALERT]    (1) : config : [/x/haproxy.cfg:21] : 'server a/y' : Couldn't open the ca-file '/nope.pem' (No such file or directory).",
    { line: 21, text: "'server a/y' : Couldn't open the ca-file '/nope.pem' (No such file or directory)." },
  ],
  [
    "[ALERT]    (1) : config : Parsing [/x/haproxy.cfg:39]: backend 'web' has the same name as backend 'web' declared at /x/haproxy.cfg:25.",
    { line: 39, text: "backend 'web' has the same name as backend 'web' declared at /x/haproxy.cfg:25." },
  ],
  [
    "[ALERT]    (1) : Proxy '_tcp-u': unable to find required default_backend: 'nope'.",
    { line: undefined, text: "Proxy '_tcp-u': unable to find required default_backend: 'nope'." },
  ],
])('%s', (line, problem) => {
  expect(parseValidationOutput(`${line}\n`)).toEqual([problem]);
});
