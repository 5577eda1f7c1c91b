import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { declareCommand } from './command.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function parseShell(text: string): Parsed<Shell> {
  const shell = shells.find((one) => one === text);
  return shell === undefined ? rejected(`${quote(text)} is not one of ${shells.join(', ')}`) : accepted(shell);
}

export const completionCommand = declareCommand({
  name: 'completion',
  summary: 'print the completion script for a shell',
  operands: { syntax: '<shell>', description: 'bash, zsh or fish', choices: shells },
  options: {},
  assemble: () => ({}),
});

export const manCommand = declareCommand({
  name: 'man',
  summary: 'print the manual page',
  options: {},
  assemble: () => ({}),
});
