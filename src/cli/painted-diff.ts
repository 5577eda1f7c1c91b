import { printable } from '../model/printable.ts';
import type { colorsOf } from './outputs.ts';

/** A diff in the colours that people know it in. The files may hold anything, so no colour is left but these. */
export function paintedDiff(diff: string, colors: ReturnType<typeof colorsOf>): string {
  const paint = (line: string): string => {
    if (/^(---|\+\+\+) /.test(line)) return colors.bold(line);
    if (line.startsWith('@@')) return colors.cyan(line);
    return line.startsWith('+') ? colors.green(line) : line.startsWith('-') ? colors.red(line) : line;
  };
  const shown = (line: string): string => line.split('\t').map(printable).join('\t');
  return diff
    .split('\n')
    .map((line) => paint(shown(line)))
    .join('\n');
}
