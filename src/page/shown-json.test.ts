import { expect, test } from 'vitest';
import { parseShown } from './shown-json.ts';

test('a text that the page shows hides and reorders nothing around it', () => {
  const given = { key: 'instances/web/<b>\u202e\u009b', open: [{ reason: 'a\u200b\nb', count: 1 }] };
  expect(parseShown(JSON.stringify(given))).toEqual({
    key: 'instances/web/<b>\\u202e\\u009b',
    open: [{ reason: 'a\\u200b\\u000ab', count: 1 }],
  });
});

test('the same holds for characters that are not escaped, and for escapes after a backslash', () => {
  expect(parseShown('{"a":"x\u202ey","b":1}')).toEqual({ a: 'x\\u202ey', b: 1 });
  expect(parseShown('{"a":"\\\\\\u202e","b":"\\"q\\""}')).toEqual({ a: '\\\\u202e', b: '"q"' });
});
