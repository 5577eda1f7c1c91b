import { printable } from '../model/printable.ts';
import { colorsOf } from './colors.ts';
import { print } from './outputs.ts';

/** A line for the person at the terminal, beside what the command was asked for. */
export function warn(text: string): void {
  const colors = colorsOf(process.stderr);
  print(`${colors.yellow('warning:')} ${printable(text)}\n`, process.stderr);
}
