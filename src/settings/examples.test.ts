import { describe, expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { commands } from './commands.ts';
import { examples } from './examples.ts';
import { fieldName, type Machine, type OptionTable } from './option.ts';
import { readOptions } from './read-options.ts';
import { configOption } from './read-settings.ts';

const machine: Machine = { hostname: 'node7', home: undefined, stateHome: undefined, root: false };

/** The words of a command line before a pipe, a redirection or the command of `register`. */
function wordsOf(line: string): readonly string[] {
  const parsed = parseCommandLine(line.replace(/ ([|>]|-- ).*$/, ''));
  if (!parsed.ok) throw new Error(`${line}: ${parsed.reason}`);
  return parsed.value;
}

describe.each(commands.map((command) => [command.name, command] as const))('the examples of %s', (name, command) => {
  test.each(examples[name].map(({ line }) => line))('%s: every flag exists and takes its value', (line) => {
    const [program, called, ...words] = wordsOf(line);
    expect([program, called]).toEqual(['pointsman', name]);
    const table: OptionTable = { ...configOption, ...command.options };
    const kinds = new Map(Object.entries(table).map(([key, { kind }]) => [`--${fieldName(key)}`, kind]));
    const flags = new Map<string, readonly string[]>();
    for (const [at, word] of words.entries()) {
      if (!word.startsWith('--')) continue;
      const kind = kinds.get(word);
      expect([word, kind]).not.toEqual([word, undefined]);
      flags.set(word.slice(2), kind === 'switch' ? [] : [words[at + 1] ?? '']);
    }
    expect(readOptions(table, { flags, env: {}, file: undefined }, machine)).toMatchObject({ ok: true });
  });
});

test('each command has an example', () => {
  for (const { name } of commands) expect(examples[name].length).toBeGreaterThan(0);
});
