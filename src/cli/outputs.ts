import { printableJson, printableLines } from '../model/printable.ts';
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
 * nothing happens, for there is nobody left to tell: a balancer goes on serving when the reader of its log has gone.
 */
export function watchOutputs({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    // EIO: its terminal is closed.
    if (error.code === 'EPIPE' || error.code === 'EIO') {
      if (!process.emit('SIGINT')) process.exit(done);
      return;
    }
    stderr.write(`pointsman: standard output cannot be written: ${error.message}\n`);
    process.exit(failed);
  });
  stderr.on('error', () => undefined);
}
