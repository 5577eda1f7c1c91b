import { Fault } from '../model/fault.ts';
import { didYouMean } from '../model/nearest.ts';
import type { CommandDeclaration } from './command.ts';
import { commands } from './commands.ts';
import {
  fieldName,
  hasField,
  hasVariable,
  type Machine,
  type Option,
  type OptionTable,
  optional,
  variableName,
} from './option.ts';
import { readOptions } from './read-options.ts';
import type { ReadResult, SettingsFile, Sources } from './sources.ts';
import { pathWord } from './words.ts';

/** Of every command: where the file with its settings is. A flag or a variable, for the file cannot say. */
export const configOption = {
  config: optional('FILE', pathWord, 'a YAML file with settings, each named as its flag'),
};

/** The path of the settings file, if one is named. */
export function readConfigPath(sources: Omit<Sources, 'file'>, machine: Machine): ReadResult<string | undefined> {
  const reading = readOptions(configOption, { ...sources, file: undefined }, machine);
  return reading.ok ? { ok: true, value: reading.value.config } : reading;
}

/** Reads a command's settings from all sources, or returns all mistakes in them. */
export function readSettings<Table extends OptionTable, Settings>(
  command: CommandDeclaration<Table, Settings>,
  sources: Sources,
  machine: Machine,
): ReadResult<Settings> {
  const strange = [
    ...strangeVariables(sources.env),
    ...(sources.file === undefined ? [] : strangeFields(sources.file)),
  ];
  const reading = readOptions(command.options, sources, machine);
  if (!reading.ok) return { ok: false, problems: [...strange, ...reading.problems] };
  try {
    const value = command.assemble(reading.value);
    return strange.length > 0 ? { ok: false, problems: strange } : { ok: true, value };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, problems: [...strange, error] };
    throw error;
  }
}

// A variable or a field of another command is no mistake: one environment or file may serve several.
const allOptions = (): [string, Option][] =>
  [configOption, ...commands.map(({ options }) => options)].flatMap((table: OptionTable) => Object.entries(table));

/**
 * Variables that Kubernetes and Docker links put into every container beside a service that is named `pointsman` or
 * `pointsman-…`: POINTSMAN_SERVICE_HOST, POINTSMAN_PORT=tcp://…, POINTSMAN_ADMIN_PORT_8404_TCP_ADDR.
 */
const serviceLink = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$/;

/** The variables that look like settings of pointsman and are none. */
export function strangeVariables(env: Sources['env']): Fault[] {
  const known = allOptions().flatMap(([key, option]) => (hasVariable(option) ? [variableName(key)] : []));
  return Object.keys(env)
    .filter((name) => name.startsWith('POINTSMAN_') && !known.includes(name) && !serviceLink.test(name))
    .map((name) => {
      const hint = didYouMean(name, known);
      return new Fault('settings', 'unknown variable', {
        where: name,
        ...(hint === undefined ? {} : { hint }),
      });
    });
}

function strangeFields(file: SettingsFile): Fault[] {
  const options = allOptions().filter(([key]) => key !== 'config');
  const secrets = new Map(options.flatMap(([key, { kind }]) => (kind === 'secret' ? [[fieldName(key), key]] : [])));
  const known = [...new Set(options.flatMap(([key, option]) => (hasField(option) ? [fieldName(key)] : [])))];
  return [...file.fields]
    .filter(([name]) => !known.includes(name))
    .map(([name, { where }]) => {
      const secret = secrets.get(name);
      if (secret !== undefined) {
        const hint = `give it as ${variableName(secret)}`;
        return new Fault('settings', 'the settings file cannot contain secrets', { where: `${where}: ${name}`, hint });
      }
      const hint = didYouMean(name, known) ?? `there are ${known.join(', ')}`;
      return new Fault('settings', 'unknown setting', { where: `${where}: ${name}`, hint });
    });
}
