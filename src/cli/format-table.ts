import { printable } from '../model/printable.ts';
import { wrapText } from './wrap-text.ts';

export type TableFormat = {
  /** Sees a cell after it was padded; `row` is -1 for the heading. A cell that is folded is painted line by line. */
  readonly paint?: (padded: string, row: number, column: number) => string;
  /** Columns of the terminal; undefined: lines are as long as they are. */
  readonly width?: number | undefined;
};

const gap = '  ';
/** A column is not made narrower than this. */
const leastColumns = 12;

/** Rows as aligned columns, two spaces apart, without the columns that are empty. Cells of what is too wide are folded. */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  { paint = (padded) => padded, width }: TableFormat = {},
): string {
  // Padded as it is shown.
  const all = [heading, ...rows].map((row) => row.map(printable));
  const shown = heading.flatMap((_, column) =>
    all.slice(1).some((row) => (row[column] ?? '') !== '') ? [column] : [],
  );
  const widths = fitted(
    shown.map((column) => Math.max(...all.map((row) => lengthOf(row[column] ?? '')))),
    width,
  );
  const lines = all.flatMap((row, index) => {
    const folded = shown.map((column, at) => fold(row[column] ?? '', widths[at] ?? 0));
    return Array.from({ length: Math.max(...folded.map(({ length }) => length)) }, (_, line) =>
      folded
        .map((pieces, at) => {
          const piece = pieces[line] ?? '';
          const last = at === folded.length - 1;
          const padded = last ? piece : piece + ' '.repeat((widths[at] ?? 0) - lengthOf(piece));
          return paint(padded, index - 1, shown[at] ?? 0);
        })
        .join(gap)
        .trimEnd(),
    );
  });
  return lines.map((line) => `${line}\n`).join('');
}

/** The columns that the table takes when no cell is folded. */
export function naturalWidth(heading: readonly string[], rows: readonly (readonly string[])[]): number {
  const widths = heading.map((title, column) =>
    Math.max(lengthOf(title), ...rows.map((row) => lengthOf(printable(row[column] ?? '')))),
  );
  return widths.reduce((sum, one) => sum + one + gap.length, -gap.length);
}

/** Takes from the widest columns until the table fits, or no column can give any more. */
function fitted(widths: readonly number[], most: number | undefined): readonly number[] {
  const fit = [...widths];
  const total = () => fit.reduce((sum, one) => sum + one + gap.length, -gap.length);
  while (most !== undefined && total() > most) {
    const widest = Math.max(...fit);
    if (widest <= leastColumns) break;
    fit[fit.indexOf(widest)] = widest - 1;
  }
  return fit;
}

function fold(cell: string, width: number): readonly string[] {
  const hard = new RegExp(`.{1,${Math.max(1, width)}}`, 'gu');
  return wrapText(cell, width)
    .split('\n')
    .flatMap((line) => line.match(hard) ?? ['']);
}

const lengthOf = (text: string): number => [...text].length;
