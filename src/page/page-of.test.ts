import { expect, test } from 'vitest';
import { pageOf } from './page-of.ts';

const list = Array.from({ length: 105 }, (_, i) => i);

test('the pages of a list are all of it, and a page that is gone becomes the nearest one', () => {
  expect(pageOf(list, 0, 50)).toMatchObject({ first: 1, last: 50, page: 0, pages: 3 });
  expect(pageOf(list, 2, 50).shown).toEqual([100, 101, 102, 103, 104]);
  expect(pageOf(list, 9, 50)).toMatchObject({ first: 101, last: 105, page: 2 });
  expect(pageOf([], 4, 50)).toEqual({ shown: [], first: 0, last: 0, page: 0, pages: 1 });
});
