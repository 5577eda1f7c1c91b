import { type Bytes, runeAt } from './bytes.ts';
import { type Format, pad, type Verb } from './format-flags.ts';
import { canBackquote, quote } from './quote.ts';

function hexOf(text: Bytes, verb: string, format: Format): Bytes {
  const { sharp, space, precision } = format;
  const prefix = sharp ? `0${verb}` : '';
  const kept = Buffer.from(precision === undefined ? text : text.slice(0, precision), 'latin1').toString('hex');
  const shown = verb === 'X' ? kept.toUpperCase() : kept;
  if (shown === '') return pad('', format);
  return pad(prefix + (space ? shown.replace(/..(?=.)/g, `$& ${prefix}`) : shown), format);
}

function truncated(text: Bytes, { precision }: Format): Bytes {
  if (precision === undefined || text.length <= precision) return text;
  let at = 0;
  for (let count = 0; count < precision && at < text.length; count++) at += runeAt(text, at).size;
  return text.slice(0, at);
}

export function ofString(value: Bytes, verb: string, format: Format): Verb {
  switch (verb) {
    case 'v':
      return format.sharpV ? quoted(value, format) : pad(truncated(value, format), format);
    case 's':
      return pad(truncated(value, format), format);
    case 'q':
      return quoted(value, format);
    case 'x':
    case 'X':
      return hexOf(value, verb, format);
    default:
      return undefined;
  }
}

function quoted(value: Bytes, format: Format): Bytes {
  const text = truncated(value, format);
  return pad(format.sharp && canBackquote(text) ? `\`${text}\`` : quote(text, format.plus), format);
}
