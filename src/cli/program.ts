import { Command, CommanderError, Option } from 'commander';
import { Fault } from '../model/fault.ts';
import { balanceCommand } from '../settings/balance.ts';
import { checkCommand } from '../settings/check.ts';
import { type AnyCommand, operandsOf } from '../settings/command.ts';
import { demoCommand } from '../settings/demo.ts';
import { filesCommand } from '../settings/files.ts';
import { fieldName, type OptionTable, type Option as Setting } from '../settings/option.ts';
import {
  clearCommand,
  drainCommand,
  maintenanceCommand,
  overridesCommand,
  pauseCommand,
  resumeCommand,
  undrainCommand,
  weightCommand,
} from '../settings/override.ts';
import { configOption } from '../settings/read-settings.ts';
import { completionCommand, manCommand } from '../settings/reference.ts';
import { registerCommand } from '../settings/register.ts';
import { releaseCommand } from '../settings/release.ts';
import { renderCommand } from '../settings/render.ts';
import { rolesCommand } from '../settings/roles.ts';
import { eventsCommand, explainCommand, statusCommand } from '../settings/see.ts';
import { shiftCommand } from '../settings/shift.ts';
import { waitCommand } from '../settings/wait.ts';
import { done } from './exit-code.ts';
import type { CommandModule, Invocation } from './invocation.ts';
import { commit, version } from './version.ts';

type Entry = { readonly declaration: AnyCommand; readonly load: () => Promise<CommandModule> };

/** Each command's own code is loaded when it is called: `register` must start fast and stay small. */
const entries: readonly Entry[] = [
  { declaration: balanceCommand, load: () => import('./balance.ts') },
  { declaration: registerCommand, load: () => import('./register.ts') },
  { declaration: checkCommand, load: () => import('./check.ts') },
  { declaration: renderCommand, load: () => import('./render.ts') },
  { declaration: statusCommand, load: () => import('./status.ts') },
  { declaration: explainCommand, load: () => import('./explain.ts') },
  { declaration: eventsCommand, load: () => import('./events.ts') },
  { declaration: shiftCommand, load: () => import('./shift.ts') },
  { declaration: waitCommand, load: () => import('./wait.ts') },
  { declaration: drainCommand, load: async () => (await import('./override.ts')).drain },
  { declaration: undrainCommand, load: async () => (await import('./clear.ts')).undrain },
  { declaration: maintenanceCommand, load: async () => (await import('./override.ts')).maintenance },
  { declaration: weightCommand, load: async () => (await import('./override.ts')).weight },
  { declaration: pauseCommand, load: async () => (await import('./override.ts')).pause },
  { declaration: resumeCommand, load: async () => (await import('./clear.ts')).resume },
  { declaration: clearCommand, load: async () => (await import('./clear.ts')).clear },
  { declaration: overridesCommand, load: () => import('./overrides.ts') },
  { declaration: releaseCommand, load: () => import('./release.ts') },
  { declaration: rolesCommand, load: () => import('./roles.ts') },
  { declaration: filesCommand, load: () => import('./files.ts') },
  { declaration: demoCommand, load: () => import('./demo.ts') },
  { declaration: completionCommand, load: () => import('./completion.ts') },
  { declaration: manCommand, load: () => import('./man.ts') },
];

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
    // What commander would print on several lines is thrown, and printed by main on one.
    .configureOutput({ outputError: () => undefined });

  for (const { declaration, load } of entries) {
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
      const { run } = await load();
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

function describeSetting(setting: Setting): string {
  switch (setting.kind) {
    case 'defaulted':
      return `${setting.description} (default: ${setting.fallback.text})`;
    case 'optional':
    case 'pairs':
    case 'list':
    case 'items':
    case 'secret':
    case 'switch':
      return setting.description;
  }
}

const oneLine = (message: string): string => message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');

function seeHelp([name]: readonly string[]): string {
  const known = entries.some(({ declaration }) => declaration.name === name);
  return `pointsman ${known ? `${name} ` : ''}--help shows what there is`;
}
