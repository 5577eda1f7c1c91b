import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

async function textsIn(folder: string, ending: string): Promise<string[]> {
  const files = await readdir(join(root, folder), { recursive: true });
  const wanted = files.filter((file) => file.endsWith(ending) && !/\.test\.ts$/.test(file));
  return Promise.all(wanted.map((file) => readFile(join(root, folder, file), 'utf8')));
}

/** `` `name` `` where a sentence speaks of the log: "the log says `name`", "the log (`name`)", "`name` in the log". */
function eventsNamed(text: string): string[] {
  const flat = text.replace(/\s+/g, ' ');
  const before = /\blog(?:ged)?\b(?: says| lines?| \([^()`]*|:)? ?\(?((?:,? ?(?:and )?`[a-z][a-z-]+`)+)/g;
  const after = /((?:`[a-z][a-z-]+`(?:,? ?(?:and )?))+) (?:line )?in the log\b/g;
  const lists = [...flat.matchAll(before), ...flat.matchAll(after)].map(([, list = '']) => list);
  return lists.flatMap((list) => [...list.matchAll(/`([a-z-]+)`/g)].map(([, name = '']) => name));
}

test('each event of the log that the docs name is one that is logged', async () => {
  const source = (await textsIn('src', '.ts')).join('\n');
  const named = [...new Set((await textsIn('docs', '.md')).flatMap(eventsNamed))].sort();
  expect(named).toEqual(expect.arrayContaining(['conflict', 'drift', 'guard-held', 'not-saved', 'reloaded']));
  expect(named.filter((name) => !source.includes(`'${name}'`))).toEqual([]);
});
