import { expect, test } from 'vitest';
import { parseDeclarations } from './parse-declarations.ts';

test('a file of declarations is a tree of keys', () => {
  const text = `services:
  web:
    hosts: [shop.example.com]
    check: {kind: http, path: /health}
instances:
  db:
    db-1: 10.0.0.7:5432
---
keys:
  shop:
    feature: "on"
    port: 1.10
`;
  const { declared, problems } = parseDeclarations('a.yaml', text);
  expect(problems).toEqual([]);
  expect(declared.map(({ key, value }) => `${key} = ${value}`)).toEqual([
    'services/web = {"hosts":["shop.example.com"],"check":{"kind":"http","path":"/health"}}',
    'instances/db/db-1 = 10.0.0.7:5432',
    'keys/shop/feature = on',
    'keys/shop/port = 1.10',
  ]);
  expect(declared[0]?.place).toEqual({ file: 'a.yaml', line: 2, column: 3 });
  expect(declared[0]?.placeOf(['check', 'path'])).toEqual({ file: 'a.yaml', line: 4, column: 25 });
});
