import { colorsOf } from './colors.ts';

/** A line for the person at the terminal, beside what the command was asked for. */
export function warn(text: string): void {
  const colors = colorsOf(process.stderr);
  process.stderr.write(`${colors.yellow('warning:')} ${text}\n`);
}
