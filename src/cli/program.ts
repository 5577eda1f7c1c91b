import { Command, CommanderError, Option } from 'commander';
import { Fault } from '../model/fault.ts';
import { operandsOf } from '../settings/command.ts';
import { type CommandName, commands } from '../settings/commands.ts';
import { fieldName, type OptionTable, type Option as Setting } from '../settings/option.ts';
import { configOption } from '../settings/read-settings.ts';
import { done } from './exit-code.ts';
import type { CommandModule, Invocation } from './invocation.ts';
import { commit, version } from './version.ts';

/** Each command's own code is loaded when it is called: `register` must start fast and stay small. */
const loads: Readonly<Record<CommandName, () => Promise<CommandModule>>> = {
  balance: () => import('./balance.ts'),
  register: () => import('./register.ts'),
  check: () => import('./check.ts'),
  render: () => import('./render.ts'),
  status: () => import('./status.ts'),
  explain: () => import('./explain.ts'),
  events: () => import('./events.ts'),
  wait: () => import('./wait.ts'),
  shift: () => import('./shift.ts'),
  pin: () => import('./pin.ts'),
  drain: async () => (await import('./override.ts')).drain,
  undrain: async () => (await import('./clear.ts')).undrain,
  maintenance: async () => (await import('./override.ts')).maintenance,
  weight: async () => (await import('./override.ts')).weight,
  pause: async () => (await import('./override.ts')).pause,
  resume: async () => (await import('./clear.ts')).resume,
  clear: async () => (await import('./clear.ts')).clear,
  overrides: () => import('./overrides.ts'),
  release: () => import('./release.ts'),
  roles: () => import('./roles.ts'),
  files: () => import('./files.ts'),
  demo: () => import('./demo.ts'),
  completion: () => import('./completion.ts'),
  man: () => import('./man.ts'),
};

const footer = `
Every option can also be given as a variable (--log-level: POINTSMAN_LOG_LEVEL) or in the file that --config names
(log-level: debug). A flag wins over a variable, a variable over the file.`;

const exitCodes = `
Exit codes: 0 done, 1 failed, 2 a wrong flag, variable or setting; with a command, register passes on the command's own.`;

/** Runs the command that `argv` names. Rejects with a Fault, or an AggregateError of them. */
export async function runProgram(
  argv: readonly string[],
  circumstances: Pick<Invocation, 'env' | 'machine' | 'packageFolder'>,
): Promise<number> {
  let exitCode = done;
  const program = new Command('pointsman')
    .description('pointsman keeps HAProxy true to etcd.')
    .version(`pointsman ${version}${commit === undefined ? '' : ` (${commit})`}`, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', exitCodes)
    .enablePositionalOptions()
    .exitOverride()
    // Errors that commander would print on several lines are thrown, and main prints them on one.
    .configureOutput({ outputError: () => undefined });

  for (const declaration of commands) {
    const command = program.command(declaration.name).summary(declaration.summary);
    command.description(`${declaration.summary[0]?.toUpperCase()}${declaration.summary.slice(1)}.`);
    command.helpOption('--help', 'print this help');
    const takesSettings = Object.keys(declaration.options).length > 0;
    if (takesSettings) command.addHelpText('after', footer);
    const { operands } = declaration;
    for (const { syntax, description } of operandsOf(declaration)) command.argument(syntax, description);
    if (operands?.passThrough === true) command.passThroughOptions();
    for (const option of flagsOf({ ...declaration.options, ...(takesSettings ? configOption : {}) }))
      command.addOption(option);
    command.action(async () => {
      const { run } = await loads[declaration.name]();
      const given = Object.entries(command.opts<Record<string, readonly string[] | true>>());
      const flags = new Map(given.map(([key, texts]) => [fieldName(key), texts === true ? [] : texts]));
      exitCode = await run({ ...circumstances, flags, operands: command.args });
    });
  }

  try {
    if (argv.length === 0) throw new Fault('usage', 'a command is missing', { hint: seeHelp([]) });
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw new Fault('usage', oneLine(error.message), { hint: seeHelp(argv) });
  }
  return exitCode;
}

function flagsOf(table: OptionTable): Option[] {
  return Object.entries(table).flatMap(([key, setting]) => {
    if (setting.kind === 'secret' || setting.kind === 'items') return [];
    if (setting.kind === 'switch') return [new Option(`--${fieldName(key)}`, setting.description)];
    const option = new Option(`--${fieldName(key)} <${setting.placeholder}>`, describeSetting(setting));
    return [option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text])];
  });
}

const describeSetting = (setting: Setting): string =>
  setting.description + (setting.kind === 'defaulted' ? ` (default: ${setting.fallback.text})` : '');

const oneLine = (message: string): string => message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');

function seeHelp([name]: readonly string[]): string {
  const known = commands.some((command) => command.name === name);
  return `pointsman ${known ? `${name} ` : ''}--help shows what there is`;
}
