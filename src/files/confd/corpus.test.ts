import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../model/fault.ts';
import { rawText } from '../../model/raw-text.ts';
import { keyTree } from '../key-tree.ts';
import { valuesByKey } from '../sources.ts';
import { loadConfdTemplate } from './confd-template.ts';
import { type ConfdMachine, thisMachine } from './machine.ts';
import { utc } from './zone.ts';

/**
 * A template with the keys that it sees, the other files of its folder, and what confd made of it: text, bytes that are no
 * text, or an error. `because` is the part of an error that comes from confd and not from Go.
 */
type Case = {
  readonly keys: string;
  readonly files?: Readonly<Record<string, string>>;
} & ({ readonly template: string } | { readonly templateBase64: string }) &
  ({ readonly gives: string } | { readonly base64: string } | { readonly fails: string; readonly because?: string });

/** The folder of a template, as it stands in the errors. */
const templates = '/templates';
const folder = join(import.meta.dirname, '../../../test/files/confd-corpus');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
type Sets = Record<string, Record<string, string>>;
const { environment, keys, base64 }: { environment: Record<string, string>; keys: Sets; base64: Sets } = JSON.parse(
  read('keys.json'),
);

const ofBase64 = (text: string): string => rawText(Buffer.from(text, 'base64'));
const values = new Map([
  ...Object.entries(keys).map(([name, set]) => [name, valuesByKey(Object.entries(set))] as const),
  ...Object.entries(base64).map(
    ([name, set]) =>
      [name, valuesByKey(Object.entries(set).map((entry) => [ofBase64(entry[0]), ofBase64(entry[1])]))] as const,
  ),
]);

async function made({
  keys: name,
  files: others = {},
  ...one
}: Case): Promise<{ readonly bytes: Buffer } | { readonly fault: string }> {
  const machine: ConfdMachine = {
    ...thisMachine,
    zone: () => utc,
    readFile: (path) => {
      const file = path.slice(templates.length + 1);
      if (file === 't' && 'templateBase64' in one) return Buffer.from(one.templateBase64, 'base64').toString('latin1');
      const text = file === 't' && 'template' in one ? one.template : others[file];
      return text === undefined ? undefined : Buffer.from(text).toString('latin1');
    },
    resolver: {
      addressesOf: async (host) => (/^[0-9.]+$|:/.test(host) ? [host] : []),
      servicesOf: async () => [],
    },
  };
  try {
    const { render } = loadConfdTemplate({ file: `${templates}/t`, folder: templates, escape: 'none', machine });
    const none = { services: [], service: {}, keys: keyTree([]) };
    const bytes = await render({ ...none, env: environment, values: values.get(name) ?? new Map() });
    return { bytes: Buffer.from(bytes) };
  } catch (error) {
    if (error instanceof Fault) return { fault: error.message };
    throw error;
  }
}

const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));

describe.each(files)('what confd made of the templates in %s', (file) => {
  const cases: readonly Case[] = read(file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

  test(`is made, to the byte (${cases.length} templates)`, async () => {
    const differing: unknown[] = [];
    for (const one of cases) {
      const found = await made(one);
      if ('fails' in one) {
        // The words of Go's own errors differ between its versions.
        if ('bytes' in found) differing.push({ ...one, found: found.bytes.toString() });
        else if (!found.fault.includes(one.because ?? '')) differing.push({ ...one, found: found.fault });
      } else {
        const wanted = 'gives' in one ? Buffer.from(one.gives) : Buffer.from(one.base64, 'base64');
        const same = 'bytes' in found && found.bytes.equals(wanted);
        if (!same) differing.push({ ...one, found: 'bytes' in found ? found.bytes.toString() : found.fault });
      }
    }
    expect(differing).toEqual([]);
  });
});
