import { expect, test } from 'vitest';
import { commandOf, overrideFor, parseAction } from './action.ts';

const read = (given: unknown) => {
  const parsed = parseAction(given);
  return parsed.ok ? commandOf(parsed.value) : parsed.reason;
};

test('an action is the command that does the same', () => {
  expect(read({ action: 'drain', service: 'web', instance: 'web-1', forMs: 600_000, why: "ada's disk" })).toBe(
    `pointsman drain web/web-1 --for 600s --why 'ada'\\''s disk'`,
  );
  expect(read({ action: 'weight', service: 'web', weight: 5 })).toBe('pointsman weight web 5');
  expect(read({ action: 'pause', service: 'web', forMs: 30_000 })).toBe('pointsman pause web --for 30s');
  expect(read({ action: 'undrain', service: 'web', instance: 'web-1' })).toBe('pointsman undrain web/web-1');
  expect(read({ action: 'resume', service: 'web' })).toBe('pointsman resume web');
  expect(read({ action: 'clear', service: 'web' })).toBe('pointsman clear web');
  expect(read({ action: 'release', service: 'web' })).toBe('pointsman release web');
});

test.each([
  ['an unknown action', { action: 'delete', service: 'web' }],
  ['no object', 'drain'],
  ['a service that is none', { action: 'drain', service: '../x' }],
  ['an instance that is none', { action: 'drain', service: 'web', instance: 'a/b' }],
  ['an instance that is paused', { action: 'pause', service: 'web', instance: 'web-1', forMs: 1000 }],
  ['a pause without an end', { action: 'pause', service: 'web' }],
  ['a pause of an hour', { action: 'pause', service: 'web', forMs: 3_600_000 }],
  ['a weight beyond 256', { action: 'weight', service: 'web', weight: 300 }],
  ['a reason with a control character', { action: 'drain', service: 'web', why: 'a\u001bb' }],
  ['a reason that is too long', { action: 'drain', service: 'web', why: 'a'.repeat(300) }],
  ['a time without an end', { action: 'drain', service: 'web', forMs: 1e12 }],
  ['a field that is none', { action: 'drain', service: 'web', until: 7 }],
])('%s is refused', (_, given) => {
  expect(parseAction(given).ok).toBe(false);
});

test('an override ends when it was said to', () => {
  const parsed = parseAction({ action: 'drain', service: 'web', forMs: 5000 });
  if (!parsed.ok || parsed.value.kind !== 'set') throw new Error('no override');
  expect(overrideFor(parsed.value, 'ada', 1000)).toMatchObject({ who: 'ada', at: 1000, until: 6000 });
});
