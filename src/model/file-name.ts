import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';

/** The name of a file in a folder that the operator gives the balancer: of secrets, or of PEM files. */
export type FileName = Brand<string, 'FileName'>;

/** Reads the name of a file: 1 to 63 of `A-Za-z0-9._-`, a letter or digit first. */
export function parseFileName(text: string): Parsed<FileName> {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)
    ? accepted(text as FileName)
    : rejected(`${quote(text)} is not a file's name: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`);
}
