import { expect, test } from 'vitest';
import { parseFieldEdit, withFields } from './policy-fields.ts';

function edited(policy: string | undefined, ...texts: readonly string[]) {
  const edits = texts.map((text) => {
    const read = parseFieldEdit(text);
    if (!read.ok) throw new Error(read.reason);
    return read.value;
  });
  const result = withFields(policy, edits);
  return result.ok ? result.value : result.reason;
}

test('a value is JSON where it can be read as such, and text otherwise', () => {
  expect(edited(undefined, 'hosts=["a.test"]', 'maxconn=5', 'check.kind=http', 'check.path=/health')).toBe(
    '{"hosts":["a.test"],"maxconn":5,"check":{"kind":"http","path":"/health"}}',
  );
});

test('a field keeps its place when it changes, and an object goes with its last field', () => {
  const policy = '{"timeouts":{"server":"7s"},"maxconn":5}';
  expect(edited(policy, 'timeouts.server=8s')).toBe('{"timeouts":{"server":"8s"},"maxconn":5}');
  expect(edited(policy, 'timeouts.server-')).toBe('{"maxconn":5}');
  expect(edited(policy, 'maxconn-', 'timeouts-')).toBe('{}');
});

test('what is no edit of a field is refused with the field that was probably meant', () => {
  const reason = (text: string) => {
    const read = parseFieldEdit(text);
    return read.ok ? undefined : read.reason;
  };
  expect(reason('hostz=["a"]')).toBe('"hostz" is not a field of a policy (did you mean hosts?)');
  expect(reason('hosts')).toContain('neither FIELD=VALUE nor FIELD-');
  expect(reason('check..path=/')).toContain('is not the path of a field');
  expect(edited('{"maxconn":5}', 'maxconn.x=1')).toContain('maxconn is no object');
});
