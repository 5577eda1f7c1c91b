import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { grammarKeys, templates } from '../support/confd-grammar.ts';
import { putBytes, startFiles } from '../support/files.ts';
import { runPointsman } from '../support/processes.ts';

/** A confd to compare with, which CI has not: CONFD=/path/to/confd. */
const confd = process.env['CONFD'];
const corpus = join(import.meta.dirname, 'confd-corpus');

type Case = { readonly keys: string } & ({ readonly template: string } | { readonly templateBase64: string });

const bytesOf = (one: Case): Buffer =>
  'template' in one ? Buffer.from(one.template) : Buffer.from(one.templateBase64, 'base64');

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

/** The keys and values of each set, changed. */
const mapTexts = (sets: Record<string, Record<string, string>>, change: (text: string) => string) =>
  Object.fromEntries(
    Object.entries(sets).map(([name, set]) => [
      name,
      Object.fromEntries(Object.entries(set).map((entry) => [change(entry[0]), change(entry[1])])),
    ]),
  );

/** Has both make a file of each template, and gives those that differ. */
async function compare(
  cases: readonly Case[],
  /** By set; each character of a key or a value is one byte. */
  keys: Readonly<Record<string, Readonly<Record<string, string>>>>,
  env: Readonly<Record<string, string>> = {},
) {
  const files = await startFiles('etcd');
  for (const [set, values] of Object.entries(keys)) {
    for (const [key, value] of Object.entries(values)) await putBytes(files.location, `/${set}${key}`, value);
  }
  const both = ['confd', 'ours'] as const;
  for (const name of both) {
    for (const folder of ['conf.d', 'templates', 'out'])
      await mkdir(files.path(`${name}/${folder}`), { recursive: true });
    await Promise.all(
      cases.flatMap((one, i) => [
        writeFile(files.path(`${name}/templates/t${i}`), bytesOf(one)),
        writeFile(
          files.path(`${name}/conf.d/t${i}.toml`),
          `[template]\nsrc = "t${i}"\ndest = "${files.path(`${name}/out/${i}`)}"\nprefix = "${one.keys}"\nkeys = ["/"]\n`,
        ),
      ]),
    );
  }
  const node = files.location.replace('etcd://', 'http://');
  const args = ['-onetime', '-backend', 'etcdv3', '-node', node, '-log-level', 'panic', '-config-file', '/nowhere'];
  spawnSync(confd ?? '', [...args, '-confdir', files.path('confd')], {
    timeout: 100_000,
    env: { ...process.env, ...env },
  });
  const run = [
    'files',
    '--confd-dir',
    files.path('ours'),
    '--registry',
    files.location,
    '--once',
    '--log-level',
    'silent',
  ];
  await runPointsman(run, { env });
  const read = (name: string, i: number) => readFile(files.path(`${name}/out/${i}`), 'latin1').catch(() => undefined);
  const made = await Promise.all(
    cases.map(async (one, i) => ({ ...one, confd: await read('confd', i), ours: await read('ours', i) })),
  );
  return {
    made: made.filter((one) => one.confd !== undefined).length,
    differing: made.filter((one) => one.confd !== one.ours),
  };
}

describe.skipIf(confd === undefined)('beside confd', () => {
  test('the templates of the test data make the same files', async () => {
    const { keys, base64, environment } = JSON.parse(readFileSync(join(corpus, 'keys.json'), 'utf8'));
    const sets = {
      ...mapTexts(keys, latin1),
      ...mapTexts(base64, (text) => Buffer.from(text, 'base64').toString('latin1')),
    };
    const names = ['language', 'functions', 'store', 'real', 'bytes', 'dates', 'printf'];
    const cases = names.flatMap((name): Case[] =>
      readFileSync(join(corpus, `${name}.jsonl`), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    );
    const { made, differing } = await compare(cases, sets, environment);
    expect(differing).toEqual([]);
    expect(made).toBeGreaterThan(200);
  });

  test('random templates make the same files', async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    const count = Number(process.env['TEMPLATES'] ?? 300);
    const cases = fc.sample(templates, { numRuns: count, seed }).map((template) => ({ keys: 'g', template }));
    const { made, differing } = await compare(cases, { g: grammarKeys });
    process.stderr.write(`seed ${seed}: confd made ${made} of ${count}\n`);
    expect(differing).toEqual([]);
  });
});
