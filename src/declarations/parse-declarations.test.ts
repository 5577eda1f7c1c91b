import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostileJson, hostileText } from '../../test/support/hostile.ts';
import { describeProblem } from '../model/problem.ts';
import { rawText } from '../model/raw-text.ts';
import { parseDeclarations } from './parse-declarations.ts';

const values = (text: string, file = 'a.yaml') =>
  Object.fromEntries(parseDeclarations(file, text).declared.map(({ key, value }) => [key, value]));
const problems = (text: string, file = 'a.yaml') => parseDeclarations(file, text).problems.map(describeProblem);

describe('a file of declarations', () => {
  test('is a tree of keys, in one document or many', () => {
    const text = `# yaml-language-server: $schema=./pointsman.schema.json
services:
  web:
    hosts: [shop.example.com]
    check: {kind: http, path: /health}
instances:
  db:
    db-1: 10.0.0.7:5432
    db-2: {address: 10.0.0.8, port: 5432, weight: 50}
overrides:
  web:
    "*": {kind: drain}
claims:
---
---
keys:
  shop:
    feature: "on"
    port: 1.10
    switch: yes
    "a/b": x
    lines: |
      one
      two
    bytes: !!binary /wA=
`;
    expect(problems(text)).toEqual([]);
    expect(values(text)).toEqual({
      'services/web': '{"hosts":["shop.example.com"],"check":{"kind":"http","path":"/health"}}',
      'instances/db/db-1': '10.0.0.7:5432',
      'instances/db/db-2': '{"address":"10.0.0.8","port":5432,"weight":50}',
      'overrides/web/*': '{"kind":"drain"}',
      'keys/shop/feature': 'on',
      'keys/shop/port': '1.10',
      'keys/shop/switch': 'yes',
      'keys/shop/a/b': 'x',
      'keys/shop/lines': 'one\ntwo\n',
      'keys/shop/bytes': rawText(Buffer.from([0xff, 0])),
    });
  });

  test('may be JSON', () => {
    const text = '{\n\t"$schema": "./pointsman.schema.json",\n\t"services": {"web": {"split": {"2": 1, "1": 9}}}\n}\n';
    expect(problems(text, 'a.json')).toEqual([]);
    expect(values(text, 'a.json')).toEqual({ 'services/web': '{"split":{"2":1,"1":9}}' });
    expect(problems('{"services": {"web": {},}}', 'a.json')).toEqual([
      'a.json:1:25: it is not JSON: "}" is not expected here',
    ]);
    expect(problems('services: {}', 'a.json')).toEqual(['a.json:1:1: it is not JSON: "s" is not expected here']);
    expect(problems('{"services": {', 'a.json')).toEqual(['a.json:1:15: it is not JSON: its end is missing']);
    expect(problems(' ', 'a.json')).toEqual(['a.json:1:1: it is not JSON: it is empty']);
  });

  test('keeps numbers as they are written, and values that are texts', () => {
    const text = 'services: {a: {maxconn: 12345678901234567890, split: {v1: 0.10}}, b: "{\\"maxconn\\":1}"}';
    expect(values(text)).toEqual({
      'services/a': '{"maxconn":12345678901234567890,"split":{"v1":0.10}}',
      'services/b': '{"maxconn":1}',
    });
  });

  test('may use anchors, aliases and merge keys', () => {
    const text = `x-defaults: &defaults {maxconn: 5, check: &check {kind: tcp}}
services:
  a: {<<: *defaults, maxconn: 7}
  b: {<<: [*defaults, {maxqueue: 1}], slowStart: 1s}
  c: {check: *check}
`;
    expect(problems(text)).toEqual([]);
    expect(values(text)).toEqual({
      'services/a': '{"maxconn":7,"check":{"kind":"tcp"}}',
      'services/b': '{"slowStart":"1s","maxconn":5,"check":{"kind":"tcp"},"maxqueue":1}',
      'services/c': '{"check":{"kind":"tcp"}}',
    });
  });

  test('says where each entry and each field is, in YAML and in what an alias stands for', () => {
    const { declared } = parseDeclarations(
      'a.yaml',
      'x-c: &c\n  kind: http\nservices:\n  web:\n    hosts:\n      - a.example\n    check: *c\n',
    );
    const [web] = declared;
    const at = (...path: string[]) => `${web?.placeOf(path).line}:${web?.placeOf(path).column}`;
    expect([at(), at('hosts'), at('hosts', '0'), at('check', 'kind'), at('nothing')]).toEqual([
      ...['4:3', '5:5', '6:9', '2:3', '4:3'],
    ]);
  });
});

describe('what is wrong with a file is told with its place', () => {
  test.each([
    ['services: {web: {a: 1, a: 2}}', '1:24: "a" is given twice (first at a.yaml:1:18)'],
    ['service: {}', '1:1: "service" is not an area (did you mean services?)'],
    ['balancers: {}', '1:1: "balancers" is not an area (pointsman itself writes this area)'],
    ['services/web: {}', '1:1: "services/web" is not an area (write services: and below it web:)'],
    ['hosts: [a.example]', '1:1: this is a policy, and it has no service (declare it under services:, below the name of its service)'],
    ['[1]', '1:1: it is not a mapping (declare entries under services, claims, instances, overrides or keys)'],
    ['services: [web]', '1:1: services is not a mapping of the names of services'],
    ['instances: {db: 1}', '1:13: instances/db is not a mapping of the names of instances'],
    ['services:\n  web:\n', '2:3: services/web has no value (write {} for one without fields)'],
    ['services: {web: [1]}', '1:12: services/web is a list, and not a mapping of fields'],
    ['keys: {a: [1]}', "1:8: keys/a is a list, and values under keys are texts (to store JSON, quote it: '[1, 2]')"],
    ['keys: {a: }', '1:11: it has no value (write "" for an empty text)'],
    ['keys: {a: ~}', '1:11: it has no value (write "~" for the text, or "" for an empty one)'],
    ['keys: {a: !!binary "?"}', '1:20: it is not base64'],
    ['keys: {a: "\\udc80"}', '1:11: it contains half of a surrogate pair, which is no character (use !!binary for bytes)'],
    ['services: {web: {maxconn: .inf}}', '1:27: ".inf" is no value that JSON has (quote it to make it a string)'],
    ['services: {web: !secret x}', '1:17: the tag !secret has no meaning for pointsman (remove it, or quote the value if the tag belongs to the text)'],
    ['services: {web: *a}', '1:17: no anchor &a is above this alias'],
    ['services: {web: {<<: 1}}', '1:22: a merge key (<<) takes a mapping, or a list of mappings'],
    ['services: {[1]: {}}', '1:12: a name has to be a word'],
    ['services:\n  web: {\n', '3:1: it is not YAML that pointsman reads: '],
    [`keys: ${'{a: '.repeat(100)}`, '1:264: it is nested more than 64 deep'],
  ])('%s', (text, problem) => {
    const [first = '', ...others] = problems(text);
    expect(first.slice(0, `a.yaml:${problem}`.length)).toBe(`a.yaml:${problem}`);
    expect(others).toEqual([]);
  }); // biome-ignore format: one line each

  test('all problems at once', () => {
    expect(problems('service: {}\nservices: {a: [], b: }\n---\nkeys: {x: [], y: {z: }}\n')).toHaveLength(5);
  });
});

test('aliases that stand for more than any file could hold are refused in a moment', () => {
  const lists = Array.from({ length: 30 }, (_, i) => `x-${i + 1}: &l${i + 1} {a: *l${i}, b: *l${i}, c: *l${i}}`);
  const text = ['x-0: &l0 {a: b}', ...lists, 'services: {web: *l30}', 'keys: *l30'].join('\n');
  expect(problems(text)).toEqual([
    expect.stringMatching(/^a\.yaml:\d+:\d+: aliases stand for more than 100000 values$/),
  ]);
  const circle = problems('services: {web: &a {check: *a}}');
  expect(circle).toEqual([expect.stringMatching(/nested more than 64 deep|more than 100000 values/)]);
  expect(problems('x-a: &a {<<: *a}\nservices: {web: {<<: *a}}').length).toBeGreaterThan(0);
});

test('whatever a file holds, it has entries, or problems with places in it', () => {
  const word = fc.constantFrom(
    'services',
    'keys',
    'web',
    ': ',
    '\n',
    '  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a ',
    '<<',
    '"',
    "'",
    '|',
    '#',
    '---\n',
    '!!binary ',
    '~',
    ',',
  );
  const text = fc.oneof(hostileText, hostileJson, fc.array(word, { maxLength: 30 }).map((words) => words.join(''))); // biome-ignore format: one line
  fc.assert(
    fc.property(text, fc.constantFrom('f.yaml', 'f.json'), (given, file) => {
      const { declared, problems: found } = parseDeclarations(file, given);
      for (const { line, column } of found) {
        expect(line).toBeLessThanOrEqual(given.split(/\n/).length);
        expect(column).toBeGreaterThan(0);
      }
      for (const { placeOf, place } of declared) expect(placeOf([])).toEqual(place);
    }),
    { numRuns: 500 },
  );
});
