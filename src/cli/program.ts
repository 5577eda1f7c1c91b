import { Command, CommanderError, Option } from 'commander';
import { Fault } from '../model/fault.ts';
import { type AnyCommand, operandsOf } from '../settings/command.ts';
import { type CommandName, commandGroups, commands } from '../settings/commands.ts';
import { examples } from '../settings/examples.ts';
import { fieldName, type Option as Setting } from '../settings/option.ts';
import { groupOptions } from '../settings/option-groups.ts';
import { configOption } from '../settings/read-settings.ts';
import { done } from './exit-code.ts';
import { type CommandModule, type Invocation, runNamingSources } from './invocation.ts';
import { commit, version } from './version.ts';

/** Each command's own code is loaded when it is called: `register` must start fast and stay small. */
const loads: Readonly<Record<CommandName, () => Promise<CommandModule>>> = {
  balance: () => import('./balance.ts'),
  register: () => import('./register.ts'),
  check: () => import('./check.ts'),
  render: () => import('./render.ts'),
  diff: () => import('./diff.ts'),
  status: () => import('./status.ts'),
  explain: () => import('./explain.ts'),
  events: () => import('./events.ts'),
  certificates: () => import('./certificates.ts'),
  apply: () => import('./apply.ts'),
  wait: () => import('./wait.ts'),
  rollout: () => import('./rollout.ts'),
  shift: () => import('./shift.ts'),
  pin: () => import('./pin.ts'),
  policy: () => import('./policy.ts'),
  drain: async () => (await import('./override.ts')).drain,
  undrain: async () => (await import('./clear.ts')).undrain,
  stop: () => import('./stop.ts'),
  maintenance: async () => (await import('./override.ts')).maintenance,
  weight: async () => (await import('./override.ts')).weight,
  pause: async () => (await import('./override.ts')).pause,
  resume: async () => (await import('./clear.ts')).resume,
  clear: async () => (await import('./clear.ts')).clear,
  overrides: () => import('./overrides.ts'),
  release: () => import('./release.ts'),
  roles: () => import('./roles.ts'),
  password: () => import('./password.ts'),
  files: () => import('./files.ts'),
  export: () => import('./export.ts'),
  demo: () => import('./demo.ts'),
  schema: () => import('./schema.ts'),
  completion: () => import('./completion.ts'),
  man: () => import('./man.ts'),
};

const settingsHelp = `
You can also set an option by a variable (--log-level: POINTSMAN_LOG_LEVEL) or
by a field of the file that --config names (log-level: debug). Options of one
call, such as --json and --timeout, are flags only. A flag overrides a variable,
and a variable overrides the file.`;

const exitCodes = `
"pointsman COMMAND --help" prints the options and examples of a command.

Exit codes: 0 success, 1 failure, 2 wrong flag, variable or setting. With a
command to run, register ends with the exit code of that command.`;

/** Runs the command that `argv` names. Rejects with a Fault, or an AggregateError of them. */
export async function runProgram(
  argv: readonly string[],
  circumstances: Pick<Invocation, 'env' | 'machine' | 'packageFolder'>,
): Promise<number> {
  let exitCode = done;
  const program = new Command('pointsman')
    .description('pointsman keeps HAProxy in step with etcd.')
    .version(`pointsman ${version}${commit === undefined ? '' : ` (${commit})`}`, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .usage('COMMAND [options]')
    // A name and its summary fit into a line of 80 columns. Descriptions are wrapped also where little room is left.
    .configureHelp({ subcommandTerm: (command) => command.name(), minWidthToWrap: 20 })
    .addHelpText('after', exitCodes)
    .enablePositionalOptions()
    .exitOverride()
    // Errors that commander would print on several lines are thrown, and main prints them on one.
    .configureOutput({ outputError: () => undefined });

  // Describing all commands takes as long as half of what else is done before a command runs.
  const called = commands.some(({ name }) => name === argv[0]) ? argv[0] : undefined;
  for (const [heading, declarations] of commandGroups) {
    for (const declaration of declarations) {
      if (called !== undefined && declaration.name !== called) continue;
      const command = program.command(declaration.name).helpGroup(heading);
      describe(command, declaration);
      command.action(async () => {
        const { run } = await loads[declaration.name]();
        const given = Object.entries(command.opts<Record<string, readonly string[] | true>>());
        const flags = new Map(given.map(([key, texts]) => [fieldName(key), texts === true ? [] : texts]));
        exitCode = await runNamingSources(run, declaration, { ...circumstances, flags, operands: command.args });
      });
    }
  }

  try {
    if (argv.length === 0) throw new Fault('usage', 'no command given', { hint: seeHelp([]) });
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw new Fault('usage', oneLine(error.message), { hint: hintFor(error, argv) });
  }
  return exitCode;
}

function describe(command: Command, declaration: AnyCommand & { readonly name: CommandName }): void {
  const { summary, options, operands } = declaration;
  command.summary(summary).description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`);
  command.helpOption('--help', 'print this help');
  for (const { syntax, description } of operandsOf(declaration)) command.argument(syntax, description);
  if (operands?.passThrough === true) command.passThroughOptions();
  const takesSettings = Object.keys(options).length > 0;
  const all = Object.entries({ ...(takesSettings ? configOption : {}), ...options });
  for (const { heading, options: members } of groupOptions(declaration, all)) {
    for (const [key, setting] of members) {
      const flag = flagOf(key, setting);
      if (flag !== undefined) command.addOption(heading === undefined ? flag : flag.helpGroup(heading));
    }
  }
  const lines = examples[declaration.name].map(({ line, effect }) => `  ${line}\n      ${effect}`);
  command.addHelpText('after', `\nExamples:\n${lines.join('\n')}${takesSettings ? `\n${settingsHelp}` : ''}`);
}

function flagOf(key: string, setting: Setting): Option | undefined {
  if (setting.kind === 'secret' || setting.kind === 'items') return undefined;
  if (setting.kind === 'switch') {
    const flag = new Option(`--${fieldName(key)}`, setting.description);
    // For commander, --no-wait would set `wait` to false, which is true by default.
    flag.negate = false;
    return flag;
  }
  const { placeholder, bare } = setting;
  const value = bare === undefined ? `<${placeholder}>` : `[${placeholder}]`;
  const option = new Option(`--${fieldName(key)} ${value}`, describeSetting(setting)).preset(bare);
  return option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
}

const describeSetting = (setting: Setting): string =>
  setting.description + (setting.kind === 'defaulted' ? ` (default: ${setting.fallback.text})` : '');

const oneLine = (message: string): string => message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');

/** An unknown option is most often one of the command to run, which began without `--`. */
function hintFor({ code }: CommanderError, argv: readonly string[]): string {
  const called = commands.find(({ name }) => name === argv[0]);
  const runsCommand = called !== undefined && operandsOf(called).some(({ syntax }) => syntax.includes('command'));
  const isForgotten = code === 'commander.unknownOption' && runsCommand && !argv.includes('--');
  return isForgotten ? `put -- before the command that ${argv[0]} runs; ${seeHelp(argv)}` : seeHelp(argv);
}

function seeHelp([name]: readonly string[]): string {
  const known = commands.some((command) => command.name === name);
  return `see pointsman ${known ? `${name} ` : ''}--help`;
}
