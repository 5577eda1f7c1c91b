import { accepted, type Parsed, quote, refused } from './parsed.ts';

type NumberRange = { readonly least: number; readonly most: number };

/**
 * Reads a whole number in plain digits: no sign, exponent, `0x` or leading zero, each of which some program reads
 * otherwise than its writer meant. A JSON number is taken by its value.
 */
export function parseWhole(given: string | number, { least, most }: NumberRange): Parsed<number> {
  const value = typeof given === 'number' ? given : /^(0|[1-9][0-9]{0,14})$/.test(given) ? Number(given) : Number.NaN;
  return Number.isInteger(value) && value >= least && value <= most
    ? accepted(value + 0) // -0 is 0
    : refused(`${quote(String(given))} is not a whole number from ${least} to ${most}`);
}

/** Reads a weight, the share of traffic relative to siblings: 0 to 256, HAProxy's range. */
export const parseWeight = (given: string | number): Parsed<number> => parseWhole(given, { least: 0, most: 256 });
