import { Fault } from '../model/fault.ts';
import type { AnyCommand, CommandDeclaration } from '../settings/command.ts';
import type { Machine, OptionTable } from '../settings/option.ts';
import { readConfigPath, readSettings } from '../settings/read-settings.ts';
import { namedBySource } from '../settings/source-of-setting.ts';
import type { Sources } from '../settings/sources.ts';

/** The arguments and the environment of a command. */
export type Invocation = {
  readonly flags: Sources['flags'];
  readonly operands: readonly string[];
  readonly env: Sources['env'];
  readonly machine: Machine;
  /** The folder that pointsman is installed in. `templates/` is there. */
  readonly packageFolder: string;
};

/** The exports of a command's file. `run` gives the exit code. */
export type CommandModule = { readonly run: (invocation: Invocation) => Promise<number> };

/** Reads the settings of a command from flags, environment and file. Rejects with an AggregateError of Faults. */
export async function readInvocation<Table extends OptionTable, Settings>(
  command: CommandDeclaration<Table, Settings>,
  { flags, env, machine }: Invocation,
): Promise<Settings> {
  const settings = readSettings(command, await readSources({ flags, env, machine }), machine);
  if (!settings.ok) throw new AggregateError(settings.problems);
  return settings.value;
}

async function readSources({ flags, env, machine }: Pick<Invocation, 'flags' | 'env' | 'machine'>): Promise<Sources> {
  const path = readConfigPath({ flags, env }, machine);
  if (!path.ok) throw new AggregateError(path.problems);
  // The YAML parser is 100 KB that a sidecar seldom needs.
  const file =
    path.value === undefined ? undefined : await (await import('../settings/yaml-file.ts')).readYamlFile(path.value);
  return { flags, env, file };
}

/** Runs a command. Its Faults about a setting then name the variable or the field that gave the setting. */
export async function runNamingSources(
  run: CommandModule['run'],
  command: Pick<AnyCommand, 'options'>,
  invocation: Invocation,
): Promise<number> {
  try {
    return await run(invocation);
  } catch (error) {
    const isAboutSetting = error instanceof Fault && error.where?.startsWith('--') === true;
    const problems = error instanceof AggregateError && error.constructor === AggregateError ? error.errors : undefined;
    if (!isAboutSetting && problems === undefined) throw error;
    // A file that cannot be read is the error itself.
    const sources = await readSources(invocation).catch(() => undefined);
    if (sources === undefined) throw error;
    const named = (one: unknown) => (one instanceof Fault ? namedBySource(one, command, sources) : one);
    throw problems === undefined ? named(error) : new AggregateError(problems.map(named));
  }
}
