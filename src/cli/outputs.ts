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

/** How text for a person is formatted. */
export type TextFormat = {
  readonly colors: Colors;
  /** Columns of the terminal; undefined where lines may be as long as they are. */
  readonly width: number | undefined;
};

/** The format of what is written to this stream. A terminal that does not know its width says 0. */
export const formatOf = (stream: NodeJS.WriteStream): TextFormat => ({
  colors: colorsOf(stream),
  width: stream.isTTY ? stream.columns || 80 : undefined,
});

/** A line for the person at the terminal, beside what the command was asked for. */
export function warn(text: string): void {
  const colors = colorsOf(process.stderr);
  print(`${colors.yellow('warning:')} ${printable(text)}\n`, process.stderr);
}
