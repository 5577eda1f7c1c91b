import type { CommandDeclaration } from '../../src/settings/command.ts';
import type { Machine, OptionTable } from '../../src/settings/option.ts';
import { readSettings } from '../../src/settings/read-settings.ts';
import { parseSettingsFile } from '../../src/settings/yaml-file.ts';

export const machine: Machine = { hostname: 'node7', home: '/home/ada', stateHome: undefined, root: false };

export type Given = { flags?: Record<string, string | string[]>; env?: Record<string, string>; yaml?: string };

function read<Table extends OptionTable, S>(command: CommandDeclaration<Table, S>, given: Given, on = machine) {
  const flags = new Map(Object.entries(given.flags ?? {}).map(([name, text]) => [name, [text].flat()]));
  const file = given.yaml === undefined ? undefined : parseSettingsFile('p.yaml', given.yaml);
  return readSettings(command, { flags, env: given.env ?? {}, file }, on);
}

/** The settings that are read; throws when there are mistakes. */
export function settings<Table extends OptionTable, S>(
  command: CommandDeclaration<Table, S>,
  given: Given,
  on = machine,
): S {
  const reading = read(command, given, on);
  if (!reading.ok) throw new AggregateError(reading.problems, reading.problems.join('\n'));
  return reading.value;
}

/** The mistakes that are found, a line each. */
export function problems<Table extends OptionTable, S>(command: CommandDeclaration<Table, S>, given: Given): string[] {
  const reading = read(command, given);
  return reading.ok ? [] : reading.problems.map(String);
}

/** The least flags of a registration. */
export const web = { service: 'web', address: '10.0.0.1:80' };
