import { accepted, type Parsed, quote, rejected } from '../../model/parsed.ts';

const digits: Readonly<Record<string, readonly [base: string, pattern: RegExp]>> = {
  '0x': ['0x', /^[0-9a-f]+$/],
  '0b': ['0b', /^[01]+$/],
  '0o': ['0o', /^[0-7]+$/],
};

/**
 * Reads a mode in a form of Go's integers: `0644`, `0o644`, `0x1a4`, `420`. Only the nine bits of permissions count, as with
 * confd. `644` without a 0 is what it looks like, and not the decimal number that confd takes it for.
 */
export function parseConfdMode(text: string): Parsed<number> {
  const bare = text.toLowerCase().replaceAll('_', '');
  const [base, pattern] = digits[bare.slice(0, 2)] ?? ['', undefined];
  if (pattern !== undefined) {
    const rest = bare.slice(2);
    if (pattern.test(rest)) return accepted(Number(`${base}${rest}`) & 0o777);
  } else if (/^0?[0-7]{3}$/.test(bare) || /^0[0-7]{1,6}$/.test(bare)) {
    return accepted(Number.parseInt(bare, 8) & 0o777);
  } else if (/^[0-9]{1,7}$/.test(bare)) return accepted(Number(bare) & 0o777);
  return rejected(`${quote(text)} is not a mode: three octal digits, as in 0644`);
}
