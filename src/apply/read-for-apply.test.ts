import { expect, test } from 'vitest';
import { prefixesOf } from './read-for-apply.ts';

test('no more is read than the keys have in common, because the user may have no right to read the rest', () => {
  expect(prefixesOf(['services/shop-web', 'services/shop-api', 'keys/shop/a', 'keys/shop/b'])).toEqual([
    'services/shop-',
    'keys/shop/',
  ]);
  expect(prefixesOf(['instances/web/a', 'instances/web/b', 'instances/api/a'])).toEqual([
    'instances/web/',
    'instances/api/a',
  ]);
  expect(prefixesOf(['services/web'])).toEqual(['services/web']);
  expect(prefixesOf(['keys/colour', 'keys/shop/a'])).toEqual(['keys/colour', 'keys/shop/a']);
  expect(prefixesOf([])).toEqual([]);
});

test('an area with many folders is read at once', () => {
  expect(prefixesOf(Array.from({ length: 9 }, (_, index) => `keys/${index}/a`))).toEqual(['keys/']);
});
