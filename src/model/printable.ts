// Control characters (ESC and the C1 ones begin sequences that steer a terminal), characters that only change how others
// are shown (bidi, zero width), other line ends, and halves of a pair. The joiners are needed to write some languages.
const unprintable = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const plainLines = /^[\n\t -~]*$/;
const ourColour = /\u001b\[(?:[0-7]|2[2-9]|3[0-79]|4[0-79]|9[0-7])m/g;

/** The text as a terminal may be given it: what cannot be printed is escaped as in JSON. Other Unicode stays as it is. */
export function printable(text: string): string {
  return text.replace(unprintable, escapeOf);
}

/** The same for text of several lines that we have coloured: newlines, tabs and colours stay. */
export function printableLines(text: string): string {
  if (plainLines.test(text)) return text;
  let from = 0;
  const parts: string[] = [];
  const plain = (part: string): string =>
    part.replace(unprintable, (one) => (/[\n\t]/.test(one) ? one : escapeOf(one)));
  for (const { 0: colour, index } of text.matchAll(ourColour)) {
    parts.push(plain(text.slice(from, index)), colour);
    from = index + colour.length;
  }
  return [...parts, plain(text.slice(from))].join('');
}

/** The value as JSON in which every string is printable; whoever parses it has the same value. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value));
}

/** `\u001b`; a character beyond 16 bits is two of these, as in JSON. */
function escapeOf(one: string): string {
  return Array.from({ length: one.length }, (_, i) => `\\u${one.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
}
