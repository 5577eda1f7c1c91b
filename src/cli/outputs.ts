import pc from 'picocolors';
import { describe } from '../model/fault.ts';
import { printable, printableJson, printableLines } from '../model/printable.ts';
import { done, failed } from './exit-code.ts';

/**
 * Writes lines for a person. Everything that comes from outside (the registry, balancers, HAProxy, files) goes this way: only
 * newlines, tabs and colours are written as they are.
 */
export function print(text: string, stream: NodeJS.WritableStream = process.stdout): void {
  stream.write(printableLines(text));
}

/** Writes a value as one line of JSON for a program, which somebody may look at on a terminal. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value)}\n`);
}

/**
 * Handles output that cannot be written. When the reader of standard output is gone, as with
 * `pointsman events --follow | head`, the command ends as it would by Ctrl-C, undoing what that undoes. On standard error
 * nothing happens: a balancer goes on serving when the reader of its log has gone.
 */
export function watchOutputs({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    // EIO: its terminal is closed.
    if (error.code === 'EPIPE' || error.code === 'EIO') {
      if (!process.emit('SIGINT')) process.exit(done);
      return;
    }
    stderr.write(`pointsman: standard output cannot be written: ${describe(error)}\n`);
    process.exit(failed);
  });
  stderr.on('error', () => undefined);
}

/** Whether the terminal takes text only: no colours, and no sequences that move its cursor. */
export const isSimple = (env: Readonly<Record<string, string | undefined>>): boolean => env['TERM'] === 'dumb';

export type Colors = ReturnType<typeof pc.createColors>;

/**
 * Colours for what is written to this stream: on a terminal, unless NO_COLOR or TERM=dumb say otherwise. Not by picocolors' own
 * judgement, which colours wherever the variable CI is set.
 */
export function colorsOf(stream: NodeJS.WriteStream): Colors {
  return pc.createColors(Boolean(stream.isTTY) && !process.env['NO_COLOR'] && !isSimple(process.env));
}

/** The columns of the terminal; undefined where lines may be as long as they are. One that does not know its width says 0. */
export function widthOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY ? stream.columns || 80 : undefined;
}

/** A line for the person at the terminal, beside what the command was asked for. */
export function warn(text: string): void {
  const colors = colorsOf(process.stderr);
  print(`${colors.yellow('warning:')} ${printable(text)}\n`, process.stderr);
}

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
