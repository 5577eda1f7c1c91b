import { Fault } from '../model/fault.ts';
import { ConfigWord } from './config-word.ts';
import { placeOfUnsafe } from './place-of-unsafe.ts';

// Nothing here separates words (space, newline, `;`), quotes or escapes (`"'\`), comments (`#`), or expands (`$`, `%`,
// `{`), neither in a haproxy.cfg nor on HAProxy's command line.
const safe = /^[A-Za-z0-9._:/[\]@+,*=~-]*$/;

/** Takes the place of Mustache's HTML escape: lets a value through as it is, or refuses it with Fault `template`. */
export function safeText(value: unknown): string {
  if (value instanceof ConfigWord) return value.text;
  const text = String(value);
  if (safe.test(text)) return text;
  throw new Fault('template', `the value is not safe in a configuration: ${placeOfUnsafe(text, isSafeText)}`, {
    hint: 'allowed are A-Z a-z 0-9 . _ : / [ ] @ + , * = ~ -',
  });
}

/** Whether `safeText` lets it through. */
export function isSafeText(text: string): boolean {
  return safe.test(text);
}
