import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { describe, Fault } from '../model/fault.ts';
import { showKey } from '../model/parsed.ts';
import { type Problem, placeOfIndex, problemAt } from '../model/problem.ts';
import { rawText } from '../model/raw-text.ts';
import { mostValueBytes, withoutFinalNewline } from '../registry/directory/value-file.ts';
import type { Declared, Place, ReadDeclarations } from './declared.ts';
import { entryOfFile } from './entry-file.ts';
import { type FileKind, isKeyPath, kindOfOperand, kindsInFolder, namesArea } from './file-kind.ts';
import { firstAt, parseDeclarations } from './parse-declarations.ts';
import { readBounded } from './read-bounded.ts';

/** The most that one call reads: far more than a registry should have, and less than what fills the memory. */
const mostFileBytes = 32 * 1024 * 1024;
const mostTotalBytes = 256 * 1024 * 1024;
const mostEntries = 200_000;

type TextFile = { readonly file: string; readonly text: string };

/** The operand that means standard input. */
const standardInput = '-';

/**
 * Reads what files and folders declare; `-` is what `readInput` reads. Files hold declarations in YAML or JSON. A folder without
 * such files is a tree of keys, as `--registry dir:` has it. A file `web.json` that names no area is the policy of the service
 * `web`. Everything that is wrong is in `problems`. Rejects with Fault `usage` if a file cannot be read.
 */
export async function readDeclarations(
  paths: readonly string[],
  readInput: () => Promise<Buffer> = () => Promise.resolve(Buffer.alloc(0)),
): Promise<ReadDeclarations> {
  const all: ReadDeclarations[] = [];
  const budget = new Budget();
  for (const path of paths) {
    if (path === standardInput) {
      all.push(declarationsIn({ file: 'stdin', text: rawText(await readInput()) }, { kind: 'declarations' }));
    } else if ((await statOf(path)).isDirectory()) {
      for (const one of await readFolder(path, budget)) all.push(one);
    } else {
      const read = await readText(path, budget);
      all.push(declarationsIn(read, kindOfOperand(path.split(sep).join('/'), read.text)));
    }
    const count = all.reduce((sum, { declared }) => sum + declared.length, 0);
    if (count > mostEntries) {
      const what = `${count} entries are declared up to here, more than ${mostEntries}`;
      throw new Fault('usage', what, { where: path, hint: 'read the files in parts' });
    }
  }
  const declared = new Map<string, Declared>();
  const repeated = new Set<string>();
  const problems = all.flatMap((one) => one.problems);
  for (const entry of all.flatMap((one) => one.declared)) {
    const first = declared.get(entry.key);
    if (first === undefined) declared.set(entry.key, entry);
    else if (!isSamePlace(entry.place, first.place)) problems.push(problemOfTwo(entry, first));
    else if (!repeated.has(entry.place.file)) {
      repeated.add(entry.place.file);
      problems.push(problemAt(entry.place.file, entry.place, 'this file is given twice'));
    }
  }
  return { declared: [...declared.values()], problems, namesArea: all.some((one) => one.namesArea) };
}

const isSamePlace = (one: Place, other: Place): boolean =>
  one.file === other.file && one.line === other.line && one.column === other.column;

const problemOfTwo = ({ key, place }: Declared, first: Declared): Problem =>
  problemAt(place.file, place, `${showKey(key)} is declared twice`, firstAt(first.place));

async function readFolder(folder: string, budget: Budget): Promise<readonly ReadDeclarations[]> {
  const texts = new Map<string, string>();
  for (const file of await filesIn(folder)) {
    const path = relative(folder, file).split(sep).join('/');
    texts.set(path, (await readText(file, budget)).text);
  }
  const kinds = kindsInFolder(texts);
  const unread = [...texts.keys()].find((path) => !kinds.has(path) && isKeyPath(path));
  if (unread !== undefined) {
    const what = 'this folder has declarations, so a file without an ending declares nothing';
    throw new Fault('usage', what, {
      where: join(folder, unread),
      hint: `name it ${basename(unread)}.json, or remove it`,
    });
  }
  return [...kinds].map(([path, kind]) =>
    declarationsIn({ file: join(folder, path), text: texts.get(path) ?? '' }, kind),
  );
}

/** The files below a folder, without hidden ones and backups of editors, as a directory registry has it. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const item of await readdir(folder, { withFileTypes: true })) {
    if (item.name.startsWith('.') || item.name.endsWith('~')) continue;
    const path = join(folder, item.name);
    if (item.isDirectory()) found.push(...(await filesIn(path)));
    // Kubernetes mounts the files of a ConfigMap as links. A linked folder could lead in a circle.
    else if (item.isFile() || (item.isSymbolicLink() && (await statOf(path)).isFile())) found.push(path);
    else if (!item.isSymbolicLink() && isDeclarationName(item.name)) {
      throw new Fault('usage', 'it is no regular file', { where: path, hint: 'remove it, or rename it' });
    }
  }
  return found.sort();
}

const isDeclarationName = (name: string): boolean => /\.(?:ya?ml|json)$/.test(name);

function unreadable(path: string, cause: unknown): Fault {
  // Node names the path too.
  return new Fault('usage', `it cannot be read: ${describe(cause).replace(`: ${path}`, '')}`, { where: path, cause });
}

async function statOf(path: string) {
  return stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
}

async function readText(file: string, budget: Budget): Promise<TextFile> {
  budget.check(file, (await statOf(file)).size);
  const bytes = await readBounded(file, mostFileBytes).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  if (bytes === undefined) throw new Fault('usage', `it has more than ${mostFileBytes} bytes`, { where: file });
  budget.take(file, bytes.length);
  return { file, text: rawText(bytes) };
}

/** The bytes that may be read still. */
class Budget {
  #left = mostTotalBytes;

  take(file: string, bytes: number): void {
    this.check(file, bytes);
    this.#left -= bytes;
  }

  /** Throws Fault `usage` if the file is too large. */
  check(file: string, bytes: number): void {
    const what =
      bytes > mostFileBytes
        ? `it has ${bytes} bytes, more than ${mostFileBytes}`
        : `the files up to here have more than ${mostTotalBytes} bytes`;
    if (bytes > mostFileBytes || bytes > this.#left) throw new Fault('usage', what, { where: file });
  }
}

function declarationsIn({ file, text }: TextFile, kind: FileKind): ReadDeclarations {
  if (kind.kind === 'value') {
    const entry = entryOfFile({ file, key: kind.key, text: withoutFinalNewline(text) });
    return { declared: [entry], problems: tooLong([entry]), namesArea: true };
  }
  const flaw = text.search(/[\udc80-\udcff]/u);
  if (flaw >= 0) {
    const what = 'it is not UTF-8 text';
    return { declared: [], problems: [problemAt(file, placeOfIndex(text, flaw), what)], namesArea: false };
  }
  const { declared, problems } = parseDeclarations(file, text.replace(/^\ufeff/, ''));
  return { declared, problems: [...problems, ...tooLong(declared)], namesArea: namesArea(text) };
}

function tooLong(declared: readonly Declared[]): readonly Problem[] {
  return declared.flatMap(({ key, value, place }) => {
    const bytes = value.length > mostValueBytes / 3 ? Buffer.byteLength(value) : 0;
    const what = `the value of ${showKey(key)} has ${bytes} bytes, more than etcd takes (${mostValueBytes})`;
    return bytes > mostValueBytes ? [problemAt(place.file, place, what)] : [];
  });
}
