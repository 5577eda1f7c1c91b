import type { CommandDeclaration } from '../settings/command.ts';
import type { Machine, OptionTable } from '../settings/option.ts';
import { readConfigPath, readSettings } from '../settings/read-settings.ts';
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
  const path = readConfigPath({ flags, env }, machine);
  if (!path.ok) throw new AggregateError(path.problems);
  // The YAML parser is 100 KB that a sidecar seldom needs.
  const file =
    path.value === undefined ? undefined : await (await import('../settings/yaml-file.ts')).readYamlFile(path.value);
  const settings = readSettings(command, { flags, env, file }, machine);
  if (!settings.ok) throw new AggregateError(settings.problems);
  return settings.value;
}
