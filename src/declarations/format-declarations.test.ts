import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rawText } from '../model/raw-text.ts';
import { canDeclare, type FormattedEntry, formatDeclarations } from './format-declarations.ts';
import { parseDeclarations } from './parse-declarations.ts';

test('entries are written for people', () => {
  const entries = {
    'keys/shop/feature': 'on',
    'keys/shop/port': '8080',
    'keys/motd': 'first line\nsecond line\n',
    'keys/binary': rawText(Buffer.from([0xff, 0x00])),
    'services/web':
      '{"hosts":["shop.example.com","*.shop.example.com"],"check":{"kind":"http","path":"/"},"split":{"2":1,"1":9}}',
    'services/plain': '{}',
    'services/broken': '{"hosts":',
    'instances/db/db-1': '10.0.0.7:5432',
    'overrides/web/*': '{"kind":"drain","until":"2026-01-31T09:30:00Z"}',
  };
  expect(formatDeclarations(Object.entries(entries).map(([key, value]) => ({ key, value })))).toBe(`services:
  broken: '{"hosts":'
  plain: {}
  web:
    hosts: [shop.example.com, "*.shop.example.com"]
    check:
      kind: http
      path: /
    split:
      "2": 1
      "1": 9
instances:
  db:
    db-1: 10.0.0.7:5432
overrides:
  web:
    "*":
      kind: drain
      until: 2026-01-31T09:30:00Z
keys:
  binary: !!binary |-
    /wA=
  motd: |
    first line
    second line
  shop:
    feature: "on"
    port: "8080"
`);
});

const name = fc.oneof(
  fc.constantFrom('a', 'b', '1.10', 'on', '<<', '*', '', 'null', 'x y', '# c', '- d', 'e: f', '"q"', "'", '{', '[', '&a', '!t', '%', '@', '`'),
  fc.string({ unit: 'binary', maxLength: 6 }).filter((text) => !text.includes('/')),
); // biome-ignore format: one line
const bytes = fc.uint8Array({ maxLength: 20 }).map((given) => rawText(Buffer.from(given)));
const text = fc.oneof(
  name,
  bytes,
  fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\t', '\r', ':', '#', '-', '\u0085', '\u2028', '\ufeff', '1', '.'), maxLength: 12 }),
  fc.jsonValue().map((value) => JSON.stringify(value)),
); // biome-ignore format: one line
const json = fc.dictionary(name, fc.jsonValue({ maxDepth: 4 })).map((value) => JSON.stringify(value));
const entry: fc.Arbitrary<FormattedEntry> = fc.oneof(
  fc.record({ key: fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => ['keys', ...names].join('/')), value: text }),
  fc.record({ key: name.map((one) => `services/${one}`), value: fc.oneof(json, text) }),
  fc.record({ key: fc.tuple(name, name).map((names) => ['instances', ...names].join('/')), value: fc.oneof(json, text) }),
); // biome-ignore format: one line

test('whatever is written is read back', () => {
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ({ key }) => key, maxLength: 8 }), (all) => {
      const entries = all.filter(canDeclare);
      const written = formatDeclarations(entries);
      const { declared, problems } = parseDeclarations('f.yaml', written);
      expect(problems, written).toEqual([]);
      // It steers no terminal.
      expect(written).toMatch(/^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]*$/);
      expect(new Map(declared.map(({ key, value }) => [key, meant(key, value)])), written).toEqual(
        new Map(entries.map(({ key, value }) => [key, meant(key, value)])),
      );
    }),
    { numRuns: 300 },
  );
});

/** Values under keys/ are bytes. Others that are JSON objects mean what they parse to. */
function meant(key: string, value: string): unknown {
  if (key.startsWith('keys/')) return value;
  try {
    const json: unknown = JSON.parse(value);
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : value;
  } catch {
    return value;
  }
}
