import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';

/** A set of entries that `pointsman apply` keeps as files declare them. */
export type SetName = Brand<string, 'SetName'>;

const set = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Reads the name of a set: 1 to 63 of `A-Za-z0-9._-`, a letter or digit first. */
export function parseSetName(text: string): Parsed<SetName> {
  return set.test(text)
    ? accepted(text as SetName)
    : rejected(`${quote(text)} is not the name of a set: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`);
}
