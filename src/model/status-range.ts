import { accepted, type Parsed, quote, refused } from './parsed.ts';

/** HTTP status codes that count as good: `200-399`. Both ends are in it. */
export type StatusRange = { readonly least: number; readonly most: number };

/** Reads one status, `204`, or a range, `200-399`; from 100 to 599. */
export function parseStatusRange(text: string): Parsed<StatusRange> {
  const match = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(text);
  const least = Number(match?.[1]);
  const most = Number(match?.[2] ?? match?.[1]);
  return match !== null && least <= most
    ? accepted({ least, most })
    : refused(`${quote(text)} is not a status or a range of them: 204, 200-399`);
}

/** As HAProxy's `http-check expect status` takes it, and `parseStatusRange` reads it back. */
export function formatStatusRange({ least, most }: StatusRange): string {
  return least === most ? String(least) : `${least}-${most}`;
}
