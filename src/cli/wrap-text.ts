const colour = /\u001b\[\d*m/g;

/** The number of columns that a text takes. A colour takes none. */
export const columnsOf = (text: string): number => [...text.replace(colour, '')].length;

/**
 * The text in lines of at most `width` columns, broken between words; each line after the first begins with `indent` spaces. A word
 * that is longer than a line stays whole. `width` undefined: one line.
 */
export function wrapText(text: string, width: number | undefined, indent = 0): string {
  if (width === undefined || columnsOf(text) <= width) return text;
  const lines: string[] = [];
  let line = '';
  // The spaces before a word belong to it, so that those within a line stay as they are.
  for (const [part] of text.matchAll(/ *[^ ]+/g)) {
    if (line !== '' && columnsOf(line + part) > width && line.trim() !== '') {
      lines.push(line);
      line = ' '.repeat(indent) + part.trimStart();
    } else line += part;
  }
  return [...lines, line].join('\n');
}
