import { expect, test } from 'vitest';
import { parseCheckOutput } from './check.ts';

// As HAProxy 2.6.12 writes it.
const refused = `[NOTICE]   (123) : haproxy version is 2.6.12-1+deb12u4
[NOTICE]   (123) : path to executable is /usr/sbin/haproxy
[ALERT]    (123) : config : parsing [/x/haproxy.cfg:12] : unknown keyword 'frobnicate' in 'defaults' section
[ALERT]    (123) : config : Error(s) found in configuration file : /x/haproxy.cfg
[ALERT]    (123) : config : Fatal errors found in configuration.
`;

test('what HAProxy refuses is told with its line, without the lines that only repeat it', () => {
  expect(parseCheckOutput(refused)).toEqual([{ line: 12, text: "unknown keyword 'frobnicate' in 'defaults' section" }]);
});

test('an output that is not understood is not lost', () => {
  expect(parseCheckOutput('Segmentation fault\n')).toEqual([{ line: undefined, text: 'Segmentation fault' }]);
});
