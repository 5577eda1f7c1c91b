import { type Bytes, bytesOfRune, runesOf } from './bytes.ts';
import { type Format, pad, type Verb } from './format-flags.ts';
import { quote } from './quote.ts';

function hexOf(text: Bytes, verb: string, { sharp, space, precision }: Format): Bytes {
  const kept = precision === undefined ? text : text.slice(0, precision);
  const prefix = sharp ? `0${verb}` : '';
  const bytes = [...kept].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0'));
  const shown = verb === 'X' ? bytes.map((byte) => byte.toUpperCase()) : bytes;
  if (shown.length === 0) return '';
  return space ? shown.map((byte) => prefix + byte).join(' ') : prefix + shown.join('');
}

function truncated(text: Bytes, { precision }: Format): Bytes {
  if (precision === undefined || text.length <= precision) return text;
  return runesOf(text).slice(0, precision).map(bytesOfRune).join('');
}

export function ofString(value: Bytes, verb: string, format: Format): Verb {
  switch (verb) {
    case 'v':
      return pad(format.sharp ? quote(value) : truncated(value, format), format);
    case 's':
      return pad(truncated(value, format), format);
    case 'q': {
      const text = truncated(value, format);
      const raw = format.sharp && !/[\x00-\x08\x0a-\x1f\x7f`]/.test(text);
      return pad(raw ? `\`${text}\`` : quote(text, format.plus), format);
    }
    case 'x':
    case 'X':
      return pad(hexOf(value, verb, format), format);
    default:
      return undefined;
  }
}
