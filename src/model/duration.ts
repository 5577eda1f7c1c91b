import { accepted, type Parsed, quote, refused } from './parsed.ts';

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const mostMs = 3660 * unitMs.d;

/** Reads `250ms`, `10s`, `1.5m`, `2h` or `7d` and gives milliseconds. A bare number is refused: its unit would be a guess. */
export function parseDuration(text: string): Parsed<number> {
  const match = /^((?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?)(ms|s|m|h|d)$/.exec(text);
  const unit = match?.[2] as keyof typeof unitMs | undefined;
  if (!match || unit === undefined) return refused(`${quote(text)} is not a duration: a number with ms, s, m, h or d`);
  const ms = Math.round(Number(match[1]) * unitMs[unit]);
  return ms <= mostMs ? accepted(ms) : refused(`${quote(text)} is more than ${mostMs / unitMs.d}d`);
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
