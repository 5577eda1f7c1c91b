import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RouteTarget } from '../model/route-target.ts';
import { RouteMap } from './route-map.ts';
import { RouteSet } from './route-set.ts';

const host = fc.constantFrom('web', 'web.example', 'api.example', '*.example', '*.other', 'web.*', 'api.*', '*');
const route = fc.oneof(
  fc.tuple(host, fc.constantFrom('/', '/a/', '/a/b/', '/b/')).map((parts) => parts.join('')),
  fc.constantFrom('SERVICE:web', 'SERVICE:api'),
);
const target = fc.constantFrom('web', 'api', 'web/1').map((text) => text as RouteTarget);
const entries = fc.array(fc.tuple(route, target), { maxLength: 20 });
const changes = fc.array(fc.tuple(route, fc.option(target, { nil: undefined })), { maxLength: 10 });

test('a map of routes holds what was set and not deleted, and tells what differs from another one', () => {
  fc.assert(
    fc.property(entries, changes, (first, later) => {
      const [before, plain] = [RouteMap.of(first), new Map(first)];
      const former = new Map(plain);
      const after = before.withMutations((draft) => {
        for (const [key, value] of later) {
          if (value === undefined) draft.delete(key);
          else draft.set(key, value);
          if (value === undefined) plain.delete(key);
          else plain.set(key, value);
        }
      });
      expect(new Map(after)).toEqual(plain);
      expect(new Map(before)).toEqual(former);
      for (const [key, value] of former) expect(before.get(key)).toBe(value);
      const keys = new Set([...former.keys(), ...plain.keys()]);
      const expected = [...keys].filter((key) => former.get(key) !== plain.get(key)).sort();
      expect([...before.differences(after)].sort()).toEqual(expected);
      expect([...after.differences(RouteMap.of(former))].sort()).toEqual(expected);
      expect(before.equals(after)).toBe(expected.length === 0);
      // A map to which nothing happened is the same value.
      expect(before.withMutations((draft) => former.forEach((value, key) => void draft.set(key, value)))).toBe(before);
    }),
  );
});

test('the routes over another one are those that take its requests when it goes', () => {
  const isRoute = ([key]: readonly [string, unknown]) => key.includes('/');
  fc.assert(
    fc.property(
      entries,
      route.filter((key) => key.includes('/')),
      (all, asked) => {
        const over = [...RouteMap.of(all).over(asked)];
        expect(over.length > 0).toBe(new RouteSet(all.filter(isRoute).map(([key]) => key)).hasOver(asked));
        for (const [key, value] of over) expect(RouteMap.of(all).get(key)).toBe(value);
      },
    ),
  );
});
