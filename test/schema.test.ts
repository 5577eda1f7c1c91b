import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entryProblems } from '../src/check/entry-problems.ts';
import { parseDeclarations } from '../src/declarations/parse-declarations.ts';
import { declarationSchema } from '../src/declarations/schema/declaration-schema.ts';
import { FieldTexts } from '../src/declarations/schema/field-texts.ts';
import { policyFields } from './support/hostile-entries.ts';

const docs = join(import.meta.dirname, '../docs');
const page = (name: string) => readFile(join(docs, name), 'utf8');
const policies = await page('policies.md');
const { schema, missing } = declarationSchema({
  policies: new FieldTexts(policies),
  registry: new FieldTexts(await page('registry.md')),
});

const validate = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false }).compile(schema);

/** Whether an editor accepts a document, and whether pointsman does. */
function verdicts(document: unknown): { readonly editor: boolean; readonly pointsman: boolean } {
  const { declared, problems } = parseDeclarations('a.json', JSON.stringify(document));
  const wrong = [...problems, ...declared.flatMap(entryProblems)];
  return { editor: validate(document), pointsman: wrong.length === 0 };
}

test('every field has a description in the schema, from the documentation', () => {
  expect(missing).toEqual([]);
});

test('docs/pointsman.schema.json is the schema of the parsers', async () => {
  const path = join(docs, 'pointsman.schema.json');
  const text = `${JSON.stringify(schema, undefined, 2)}\n`;
  if (process.env['UPDATE'] === '1') await writeFile(path, text);
  expect(await readFile(path, 'utf8'), 'run with UPDATE=1 to write it').toBe(text);
});

const examples = [...policies.matchAll(/^```json\n(.*?)^```$/gms)].map(([, json = '']): unknown => JSON.parse(json));

test('an editor accepts every policy in the documentation', () => {
  expect(examples.length).toBeGreaterThan(20);
  for (const policy of examples) {
    expect(verdicts({ services: { web: policy } }), JSON.stringify(policy)).toEqual({ editor: true, pointsman: true });
  }
});

describe('an editor and pointsman refuse', () => {
  test.each([
    ['a mistyped field', { services: { web: { hostz: ['a.example'] } } }],
    ['a mistyped field of a field', { services: { web: { check: { kind: 'http', pth: '/' } } } }],
    ['a field of another kind of check', { services: { web: { check: { kind: 'tcp', path: '/' } } } }],
    ['a word that is none of a few', { services: { web: { balance: 'leastcon' } } }],
    ['a number that is too large', { services: { web: { maxconn: 1_000_001 } } }],
    ['a number as text', { services: { web: { port: '80' } } }],
    ['a duration without a unit', { services: { web: { slowStart: '30' } } }],
    ['a mistyped area', { service: { web: {} } }],
    ['a name of a service with a blank', { services: { 'a b': {} } }],
    ['a weight without a number', { overrides: { web: { a: { kind: 'weight' } } } }],
    ['a drain with a weight', { overrides: { web: { a: { kind: 'drain', weight: 1 } } } }],
    ['an end that is no time', { overrides: { web: { '*': { kind: 'drain', until: 'soon' } } } }],
    ['an instance without an address', { instances: { web: { a: { port: 80 } } } }],
    ['a list among the keys', { keys: { a: [1] } }],
    ['a claim with a mistyped field', { claims: { '*': { host: [] } } }],
  ])('%s', (_, document) => {
    expect(verdicts(document)).toEqual({ editor: false, pointsman: false });
  });
});

describe('an editor accepts whatever pointsman accepts', () => {
  // Valibot takes a list where a record, or an object without required fields, is meant.
  const json = fc.jsonValue({ maxDepth: 2 }).filter((one) => !JSON.stringify(one).includes('['));
  const value = fc.oneof(json, fc.constantFrom('1s', '10m', 'a.example', '/', '10.0.0.1', true));
  const somePolicies = fc
    .subarray(Object.entries(policyFields), { minLength: 1, maxLength: 3 })
    .chain((fields) => fc.record(Object.fromEntries(fields)));
  const mutated = fc
    .constantFrom(...examples)
    .chain((policy) =>
      fc
        .tuple(fc.constantFrom(...pathsIn(policy), []), value, fc.constantFrom('put', 'rename', 'remove'))
        .map(([path, other, how]) => changed(policy, path, other, how)),
    );

  test.each([
    ['of policies', fc.oneof(somePolicies, mutated).map((policy) => ({ services: { web: policy } }))],
    [
      'of instances',
      fc.record({ address: fc.constantFrom('10.0.0.1', 'a', 1), port: fc.constantFrom(80, 443, 8080, 0, '80'), weight: fc.oneof(fc.constantFrom(0, 256), value), state: fc.constantFrom('ready', 'draining', 'x'), meta: fc.oneof(fc.constant({ a: 'b' }), value) }, { requiredKeys: [] }).map((a) => ({ instances: { web: { a } } })), // biome-ignore format: one line
    ],
    [
      'of overrides',
      fc.record({ kind: fc.constantFrom('drain', 'weight', 'maintenance', 'pause', 'x'), weight: fc.constantFrom(0, 256, 257, '1', 1.5), until: fc.constantFrom('2026-01-31T09:30:00Z', '2026-01-31'), who: value }, { requiredKeys: ['kind'] }).map((a) => ({ overrides: { web: { a } } })), // biome-ignore format: one line
    ],
    [
      'of claims',
      fc.record({ hosts: fc.constantFrom([], ['*'], ['a b']), priority: fc.constantFrom(0, 1000, -1, '1'), ports: fc.constantFrom([80, '90-99'], [true], 80), certificates: value }, { requiredKeys: [] }).map((claim) => ({ claims: { '*': claim } })), // biome-ignore format: one line
    ],
  ])('%s', (_, documents) => {
    let [both, neither] = [0, 0];
    fc.assert(
      fc.property(documents, (document) => {
        const { editor, pointsman } = verdicts(document);
        if (pointsman) expect(editor, `${JSON.stringify(document)}: ${JSON.stringify(validate.errors)}`).toBe(true);
        if (editor && pointsman) both += 1;
        if (!editor && !pointsman) neither += 1;
      }),
      { numRuns: 1000 },
    );
    // Otherwise nothing was tried.
    expect(Math.min(both, neither)).toBeGreaterThan(20);
  });
});

/** The paths of all values in a value. */
function pathsIn(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, below]) => pathsIn(below, [...path, name]))];
}

/** A copy in which the value at a path is another one, has another name, or is missing. */
function changed(value: unknown, path: readonly string[], other: unknown, how: string): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return how === 'put' ? other : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value))
    return value.map((item, index) => (String(index) === name ? changed(item, rest, other, how) : item));
  const entries = Object.entries(value).flatMap(([key, below]): [string, unknown][] => {
    if (key !== name) return [[key, below]];
    if (rest.length > 0 || how === 'put') return [[key, changed(below, rest, other, how)]];
    return how === 'remove' ? [] : [[`${key}x`, below]];
  });
  return Object.fromEntries(entries);
}
