import pc from 'picocolors';

/** A line for the person at the terminal, beside what the command was asked for. */
export function warn(text: string): void {
  const colors = pc.createColors(Boolean(process.stderr.isTTY) && !process.env['NO_COLOR']);
  process.stderr.write(`${colors.yellow('warning:')} ${text}\n`);
}
