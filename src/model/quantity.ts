import { accepted, type Parsed, quote, rejected } from './parsed.ts';

type NumberRange = { readonly least: number; readonly most: number };

/**
 * Reads a whole number in plain digits: no sign, exponent, `0x` or leading zero, each of which some program reads
 * otherwise than its writer meant. A JSON number is taken by its value.
 */
export function parseWhole(given: string | number, { least, most }: NumberRange): Parsed<number> {
  const value = typeof given === 'number' ? given : /^(0|[1-9][0-9]{0,14})$/.test(given) ? Number(given) : Number.NaN;
  return Number.isInteger(value) && value >= least && value <= most
    ? accepted(value + 0) // -0 is 0
    : rejected(`${quote(String(given))} is not a whole number from ${least} to ${most}`);
}

/** Reads a weight, the share of traffic relative to siblings: 0 to 256, HAProxy's range. */
export const parseWeight = (given: string | number): Parsed<number> => parseWhole(given, { least: 0, most: 256 });

/** Reads `50%` and gives 0.5. */
export function parseShare(text: string): Parsed<number> {
  const share = /^(\d{1,3})%$/.exec(text)?.[1];
  return share !== undefined && Number(share) <= 100
    ? accepted(Number(share) / 100)
    : rejected(`${quote(text)} is not 0% to 100%`);
}

const unitBytes = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;
// HAProxy reads most sizes as 32-bit numbers.
const most = 2 ** 31 - 1;

/** Reads `4096`, `64k`, `10m` or `1g` and gives bytes, at most 2 GiB less one, as HAProxy counts. */
export function parseSize(text: string): Parsed<number> {
  const match = /^(0|[1-9][0-9]{0,9})([kmg]?)$/.exec(text);
  const unit = match?.[2] as keyof typeof unitBytes | undefined;
  const bytes = unit === undefined ? Number.NaN : Number(match?.[1]) * unitBytes[unit];
  return bytes <= most ? accepted(bytes) : rejected(`${quote(text)} is not a size below 2g: a number, with k, m or g`);
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const mostMs = 3660 * unitMs.d;

/** Reads `250ms`, `10s`, `1.5m`, `2h` or `7d` and gives milliseconds. A bare number is refused: its unit would be a guess. */
export function parseDuration(text: string): Parsed<number> {
  const match = /^((?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?)(ms|s|m|h|d)$/.exec(text);
  const unit = match?.[2] as keyof typeof unitMs | undefined;
  if (!match || unit === undefined) return rejected(`${quote(text)} is not a duration: a number with ms, s, m, h or d`);
  const ms = Math.round(Number(match[1]) * unitMs[unit]);
  return ms <= mostMs ? accepted(ms) : rejected(`${quote(text)} is more than ${mostMs / unitMs.d}d`);
}

/** Milliseconds as a person says them: `3.2ms`, `1.5s`, `2m 5s`, `3h 10m`, `4d 2h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Number(ms.toPrecision(3))}ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toPrecision(3))}s`;
  const parts: string[] = [];
  let rest = Math.round(ms / 1000);
  for (const [name, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    if (rest >= seconds) parts.push(`${Math.floor(rest / seconds)}${name}`);
    rest %= seconds;
  }
  return parts.slice(0, 2).join(' ');
}
