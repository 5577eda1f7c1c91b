import type { Fault } from './fault.ts';

/** Something that is wrong in a file, a flag or a variable. */
export type Problem = {
  /** `/etc/pointsman.yaml:3:1: htp`, `--http`, `POINTSMAN_HTTP`. */
  readonly where: string;
  readonly file: string | undefined;
  /** Counted from 1. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly what: string;
  readonly hint: string | undefined;
};

/** Makes a problem of a Fault; a place in a file is taken from where it says it is. */
export function problemOf({ message, where = '', hint }: Fault): Problem {
  const place = /^(.*?):(\d+)(?::(\d+))?(?::|$)/.exec(where);
  return {
    where,
    file: place?.[1] ?? (where.includes('/') ? where : undefined),
    line: place === null ? undefined : Number(place[2]),
    column: place?.[3] === undefined ? undefined : Number(place[3]),
    what: message.replace(/\s*\n\s*/g, ' '),
    hint,
  };
}

export function problemAt(file: string, place: TextPosition, what: string, hint?: string): Problem {
  const { line, column } = place;
  return { where: `${file}:${line}:${column}`, file, line, column, what, hint };
}

/** A place in a text, counted from 1. */
export type TextPosition = { readonly line: number; readonly column: number };

export const beginning: TextPosition = { line: 1, column: 1 };

export function placeOfIndex(text: string, index: number): TextPosition {
  const before = text.slice(0, index);
  return { line: before.split('\n').length, column: index - before.lastIndexOf('\n') };
}

/** One line for a person. */
export function describeProblem({ where, what, hint }: Problem): string {
  return `${where === '' ? '' : `${where}: `}${what}${hint === undefined ? '' : ` (${hint})`}`;
}
