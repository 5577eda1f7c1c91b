import type { GenericSchema } from 'valibot';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { fieldWord } from './words.ts';

/** A program and its arguments, run as they are: no shell reads them. */
export type CommandLine = readonly [file: string, ...args: string[]];

// Characters that only a shell gives a meaning. Braces, `*`, `?` and `~` are left out: they stand in words that are meant as they
// are, `{{staged}}` among them.
const shells = /[|&;<>()$`\\#!]/;

/**
 * Splits a command into words, of which some may be in single or double quotes. A construct that only a shell supports is
 * refused, so that no command silently lacks its pipe.
 */
export function parseCommandLine(text: string): Parsed<CommandLine> {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? '';
    if (char === "'" || char === '"') {
      const end = text.indexOf(char, at + 1);
      if (end === -1) return rejected(`a ${char} is not closed in ${quote(text)}`);
      const inside = text.slice(at + 1, end);
      if (char === '"' && /[$`\\]/.test(inside)) {
        return rejected(`a $, \` or \\ cannot be within "…" in ${quote(text)}: write '…', or a list of words`);
      }
      word = (word ?? '') + inside;
      at = end;
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (shells.test(char)) {
      return rejected(`${quote(char)} needs a shell in ${quote(text)}: write sh -c '…'`);
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) words.push(word);
  const [file, ...args] = words;
  return file === undefined || file === '' ? rejected('a command is missing') : accepted([file, ...args]);
}

/** A command as one text, or as a list of its words. */
export const commandWord: GenericSchema<unknown, CommandLine> = fieldWord((value) => {
  if (typeof value === 'string') return parseCommandLine(value);
  if (!isWords(value)) return rejected('it is neither a command nor a list of its words');
  const [file, ...args] = value;
  if (file === undefined || file === '') return rejected('a command is missing');
  return value.some((word) => word.includes('\0')) ? rejected('a word has a NUL') : accepted([file, ...args]);
});

const isWords = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((word) => typeof word === 'string');
