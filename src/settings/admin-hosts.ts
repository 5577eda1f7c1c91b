import { parseHost } from '../model/address.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { list } from './option.ts';
import { word } from './words.ts';

function parseHostPattern(text: string): Parsed<string> {
  const below = text.startsWith('*.');
  const host = parseHost(below ? text.slice(2) : text);
  return host.ok && host.value.family === 'name'
    ? accepted(`${below ? '*.' : ''}${host.value.host}`)
    : rejected(`${quote(text)} is neither a host name nor *. and a host name`);
}

/** For each command with an admin port. */
export const adminHostsOption = {
  adminHosts: list(
    'NAME',
    word(parseHostPattern),
    'further host names that the admin port answers to; *.NAME for all names below it',
  ),
};
