import { hash } from 'node:crypto';
import { unexpectedAnswer } from './answers.ts';

/**
 * The mark of a configuration: a `global` section after the template's text, whose lines keep their numbers. It sets a variable,
 * which the worker that loaded it can be asked for. Unlike an environment variable it does not outlive a reload of a file without it.
 */
const variable = 'proc.pointsman_config';
const comment = '# Tells pointsman which configuration a worker was loaded from.';
const pattern = /\n# Tells pointsman[^\n]*\nglobal\n {4}set-var proc\.pointsman_config str\(([0-9a-f]{16})\)\n$/;

/** The question that `readMark` reads the answer to. */
export const askMark = `get var ${variable}`;

export const markOf = (config: string): string => hash('sha256', config).slice(0, 16);

export function withMark(config: string, mark: string | undefined): string {
  return mark === undefined ? config : `${config}\n${comment}\nglobal\n    set-var ${variable} str(${mark})\n`;
}

/** The text of a file without its mark, and the mark; undefined for a file of an earlier pointsman, or of others. */
export function splitMark(text: string): { readonly config: string; readonly mark: string | undefined } {
  const found = pattern.exec(text);
  return { config: found === null ? text : text.slice(0, found.index), mark: found?.[1] };
}

/** Undefined for a worker that was loaded from a configuration without a mark. Throws a Fault for an error. */
export function readMark(answer: string): string | undefined {
  const text = answer.trim();
  if (text === 'Variable not found.') return undefined;
  const mark = /^proc\.pointsman_config: type=str value=<([^>]*)>$/.exec(text)?.[1];
  if (mark === undefined) throw unexpectedAnswer(askMark, answer);
  return mark;
}
