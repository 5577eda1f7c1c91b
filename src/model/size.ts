import { accepted, type Parsed, quote, refused } from './parsed.ts';

const unitBytes = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;
// HAProxy reads most sizes as 32-bit numbers.
const most = 2 ** 31 - 1;

/** Reads `4096`, `64k`, `10m` or `1g` and gives bytes, at most 2 GiB less one, as HAProxy counts. */
export function parseSize(text: string): Parsed<number> {
  const match = /^(0|[1-9][0-9]{0,9})([kmg]?)$/.exec(text);
  const unit = match?.[2] as keyof typeof unitBytes | undefined;
  const bytes = unit === undefined ? Number.NaN : Number(match?.[1]) * unitBytes[unit];
  return bytes <= most ? accepted(bytes) : refused(`${quote(text)} is not a size below 2g: a number, with k, m or g`);
}
