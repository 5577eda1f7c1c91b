import { expect, test } from 'vitest';
import { isFlatJson } from './flat-json.ts';

const shape = { levels: 3, commas: 2 };

test.each([
  ['{"changes":[{"key":"a","value":null}]}', true],
  ['[[[]]]', true],
  ['[[[[]]]]', false],
  ['{"a":{"b":[[', false],
  ['[1,2,3]', true],
  ['[1,2,3,4]', false],
  ['["[[[[,,,,", "\\"[[[[,,,,\\\\"]', true],
  ['["\\\\",[[[', false],
  ['"a string without an end [[[[', true],
  ['[],[],[]', true],
])('%s has at most three levels and two commas: %s', (text, flat) => {
  expect(isFlatJson(text, shape)).toBe(flat);
});
