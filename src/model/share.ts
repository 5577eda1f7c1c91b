import { accepted, type Parsed, quote, refused } from './parsed.ts';

/** Reads `50%` and gives 0.5. */
export function parseShare(text: string): Parsed<number> {
  const share = /^(\d{1,3})%$/.exec(text)?.[1];
  return share !== undefined && Number(share) <= 100
    ? accepted(Number(share) / 100)
    : refused(`${quote(text)} is not 0% to 100%`);
}
