import { Fault } from '../model/fault.ts';
import { commands } from '../settings/commands.ts';
import { parseShell, type Shell } from '../settings/reference.ts';
import { done } from './exit-code.ts';
import type { Invocation } from './invocation.ts';
import { bashCompletion } from './reference/bash.ts';
import { fishCompletion } from './reference/fish.ts';
import { zshCompletion } from './reference/zsh.ts';

const completions = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } satisfies Record<Shell, unknown>;

/** `pointsman completion SHELL`. */
export async function run({ operands }: Invocation): Promise<number> {
  const shell = parseShell(operands[0] ?? '');
  if (!shell.ok) throw new Fault('usage', shell.reason);
  process.stdout.write(completions[shell.value](commands));
  return done;
}
