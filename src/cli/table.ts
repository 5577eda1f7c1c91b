import { printable } from '../model/printable.ts';

/** Rows as aligned columns, two spaces apart, the last one as long as it is. `paint` sees a cell after it was padded. */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  paint: (padded: string, row: number, column: number) => string = (padded) => padded,
): string {
  // Padded as it is shown.
  const all = [heading, ...rows].map((row) => row.map(printable));
  const widths = heading.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? '')].length)));
  const line = (row: readonly string[], index: number): string =>
    row
      .map((cell, column) => {
        const last = column === row.length - 1;
        const padding = last ? '' : ' '.repeat((widths[column] ?? 0) - [...cell].length);
        return paint(cell + padding, index - 1, column);
      })
      .join('  ')
      .trimEnd();
  return all.map((row, index) => `${line(row, index)}\n`).join('');
}
