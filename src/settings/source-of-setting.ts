import { Fault } from '../model/fault.ts';
import type { AnyCommand } from './command.ts';
import { fieldName, hasField, hasVariable, variableName } from './option.ts';
import type { Sources } from './sources.ts';

/** The place that gave a setting, if that is not its flag: `POINTSMAN_ADMIN`, or `/etc/pointsman.yaml:3:1: admin`. */
function sourceOf(flag: string, { options }: Pick<AnyCommand, 'options'>, sources: Sources): string | undefined {
  const name = flag.slice(2);
  const [key, option] = Object.entries(options).find(([one]) => fieldName(one) === name) ?? [];
  if (key === undefined || option === undefined || sources.flags.has(name)) return undefined;
  if (hasVariable(option) && sources.env[variableName(key)]) return variableName(key);
  const field = hasField(option) ? sources.file?.fields.get(name) : undefined;
  return field === undefined ? undefined : `${field.where}: ${name}`;
}

/**
 * A Fault about a setting, with the place that gave the setting. Code that only knows the value names the flag, although the value may
 * come from a variable or the file.
 */
export function namedBySource(fault: Fault, command: Pick<AnyCommand, 'options'>, sources: Sources): Fault {
  const { code, message, where, hint, cause } = fault;
  const source = where?.startsWith('--') ? sourceOf(where, command, sources) : undefined;
  return source === undefined ? fault : new Fault(code, message, { where: source, hint, cause });
}
