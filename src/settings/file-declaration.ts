import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { Fault } from '../model/fault.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { parseDuration } from '../model/quantity.ts';
import { type CommandLine, commandWord } from './command-line.ts';
import { type Item, items } from './option.ts';
import { durationWord, fieldWord, oneOf, pathWord, word } from './words.ts';

export const escapeNames = ['word', 'haproxy', 'nginx', 'json', 'shell', 'line', 'none'] as const;

/** How a value becomes text of a file; files/escape.ts does it. */
export type EscapeName = (typeof escapeNames)[number];

/** The owner of a file: names, or numbers as text. */
export type Owner = { readonly user: string | undefined; readonly group: string | undefined };

/**
 * A file is made when nothing changed for `minMs`, or `maxMs` after the first change. With `lead` a change that comes after such a
 * quiet time is not waited for: only the changes that follow it closely are.
 */
export type Wait = { readonly minMs: number; readonly maxMs: number; readonly lead?: boolean };

/** Which keys a template sees as `keys`. */
export type KeySelection =
  /** The keys under `keys/` in pointsman's own tree. */
  | { readonly kind: 'own' }
  /** Keys of any tree, by their whole names (`/services/web`) after `prefix`, which the template does not see. */
  | { readonly kind: 'foreign'; readonly prefix: string; readonly paths: readonly string[] };

/** A file to be made of a template and kept up to date. */
export type FileDeclaration = {
  /** Where it was declared, for messages. */
  readonly where: string;
  /** Absolute paths. */
  readonly src: string;
  readonly dest: string;
  /** How the template is written: as Mustache, or for confd. */
  readonly syntax: 'mustache' | 'confd';
  /** The folder of templates, for a file of a folder of confd. What is wrong with such a file keeps no other from being made. */
  readonly confdTemplates?: string;
  readonly escape: EscapeName;
  /** Undefined: that of the file that is there, else 0644. */
  readonly mode: number | undefined;
  /** Undefined: that of the file that is there, else pointsman's own. */
  readonly owner: Owner | undefined;
  /** Run with the new file's path in place of `{{staged}}`, before it replaces the old one. */
  readonly check: CommandLine | undefined;
  /** Run after the file was replaced. */
  readonly reload: CommandLine | undefined;
  /** How long the check and the reload may take, each. */
  readonly timeoutMs: number;
  readonly wait: Wait;
  readonly keys: KeySelection;
  /** A copy of each new text is kept beside the file, as `.NAME.staged`. */
  readonly keepStaged?: boolean;
};

export const stagedMark = '{{staged}}';
export const defaultTimeoutMs = 30_000;
/** How often to look for changes of a file by other programs. */
export const defaultIntervalMs = 2000;
export const defaultWait: Wait = { minMs: 100, maxMs: 1000 };

/** Reads `0644` or `640`. */
function parseMode(text: string): Parsed<number> {
  return /^0?[0-7]{3}$/.test(text)
    ? accepted(Number.parseInt(text, 8))
    : rejected(`${quote(text)} is not a mode: three octal digits, as in 0644`);
}

const accountPattern = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$|^[0-9]{1,10}$/;

/** Reads `user`, `user:group` or `:group`. */
export function parseOwner(text: string): Parsed<Owner> {
  const [user = '', group, ...rest] = text.split(':');
  const named = [user, group ?? ''].filter((name) => name !== '');
  return named.length > 0 && rest.length === 0 && named.every((name) => accountPattern.test(name))
    ? accepted({ user: user || undefined, group: group || undefined })
    : rejected(`${quote(text)} is not user, user:group or :group`);
}

/** Reads a key of a foreign tree: `/services/web`; a slash at its end makes no difference. */
export function parseForeignKey(text: string): Parsed<string> {
  return /^\/[^\0-\x20\x7f]{0,511}$/.test(text) && !text.includes('//')
    ? accepted(text.replace(/\/$/, ''))
    : rejected(`${quote(text)} is not a key that begins with /`);
}

function parseWait(value: unknown): Parsed<Wait> {
  const bounds = typeof value === 'string' ? { min: value } : value;
  const read = v.safeParse(waitBounds, bounds);
  if (!read.success) return rejected('it is neither a duration nor {min: DURATION, max: DURATION}');
  const min = parseDuration(read.output.min);
  if (!min.ok) return min;
  const max = read.output.max === undefined ? accepted(min.value * 4) : parseDuration(read.output.max);
  if (!max.ok) return max;
  if (max.value < min.value) return rejected(`max is less than min`);
  if (max.value > 3_600_000) return rejected(`max is more than 1h`);
  return accepted({ minMs: min.value, maxMs: max.value });
}

const waitBounds = v.strictObject({ min: v.string(), max: v.optional(v.string()) });

const checkWord = v.pipe(
  commandWord,
  v.check(
    (words) => words.some((one) => one.includes(stagedMark)),
    `it does not name ${stagedMark}, the new file before it replaces the old one`,
  ),
);

const fileItem = v.strictObject({
  src: pathWord,
  dest: pathWord,
  escape: v.optional(oneOf(escapeNames).word, 'word'),
  mode: v.optional(word(parseMode)),
  owner: v.optional(word(parseOwner)),
  check: v.optional(checkWord),
  reload: v.optional(commandWord),
  timeout: v.optional(durationWord(100, 3_600_000)),
  wait: v.optional(fieldWord(parseWait)),
  prefix: v.optional(word(parseForeignKey)),
  keys: v.optional(v.array(word(parseForeignKey))),
});

/** The option of each command that makes files. */
export const fileOptions = {
  templates: items(fileItem, 'files to render from templates and keep up to date; only in the settings file'),
};

/** Completes what was declared: paths are relative to the settings file. Throws a Fault when two make one file. */
export function fileDeclarations(
  declared: readonly Item<v.InferOutput<typeof fileItem>>[],
): readonly FileDeclaration[] {
  const files = declared.map(({ value, where, file }): FileDeclaration => {
    const { src, dest, timeout, wait, prefix, keys, ...rest } = value;
    const foreign = prefix !== undefined || keys !== undefined;
    return {
      ...{ where, syntax: 'mustache' },
      ...{ mode: undefined, owner: undefined, check: undefined, reload: undefined },
      ...rest,
      src: resolve(dirname(file), src),
      dest: resolve(dirname(file), dest),
      timeoutMs: timeout ?? defaultTimeoutMs,
      wait: wait ?? defaultWait,
      keys: foreign ? { kind: 'foreign', prefix: prefix ?? '', paths: keys ?? [''] } : { kind: 'own' },
    };
  });
  requireDistinct(files);
  return files;
}

/** Throws a Fault when two declarations make the same file: each would undo what the other did. */
export function requireDistinct(files: readonly FileDeclaration[]): void {
  const makers = new Map<string, string>();
  for (const { dest, where } of files) {
    const other = makers.get(dest);
    if (other !== undefined) throw new Fault('settings', `${dest} is also made by ${other}`, { where });
    makers.set(dest, where);
  }
}
