import { parseAddressSource } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import { fieldName, type Machine, optional } from './option.ts';
import { readOptions } from './read-options.ts';
import type { ReadResult } from './reading.ts';
import { type InstanceSettings, type InstanceTraits, traitOptions, traitsOf } from './register.ts';
import type { SettingsFile } from './sources.ts';
import { labelWord, word } from './words.ts';

const table = {
  service: optional({ placeholder: 'NAME', description: 'the service', word: word(parseServiceName) }),
  address: optional({ placeholder: 'ADDRESS', description: 'where it is reached', word: word(parseAddressSource) }),
  id: optional({ placeholder: 'NAME', description: 'its name in the service', word: word(parseInstanceId) }),
  version: optional({ placeholder: 'LABEL', description: "the application's version", word: labelWord }),
  ...traitOptions,
};

const fieldNames = Object.keys(table).map(fieldName);

/** Reads the declaration of one instance, or returns all its mistakes. `traits` apply to fields that it does not set. */
export function readDeclaration(
  file: SettingsFile,
  traits: InstanceTraits,
  machine: Machine,
): ReadResult<InstanceSettings> {
  const strange = [...file.fields.values()]
    .filter(({ name }) => !fieldNames.includes(name))
    .map(({ name, where }) => {
      const hint = didYouMean(name, fieldNames) ?? `there are ${fieldNames.join(', ')}`;
      return new Fault('settings', 'a declaration has no such field', { where: `${where}: ${name}`, hint });
    });
  const reading = readOptions(table, { flags: new Map(), env: {}, file }, machine);
  if (!reading.ok) return { ok: false, problems: [...strange, ...reading.problems] };
  const { service, address, id } = reading.value;
  const missing = (name: string) => new Fault('settings', `${name} is missing`, { where: `${file.path}:1:1` });
  const joined = traitsOf(reading.value, traits);
  const problems = [
    ...strange,
    ...(service === undefined ? [missing('service')] : []),
    ...(address === undefined ? [missing('address')] : []),
    ...(joined instanceof Fault ? [joined] : []),
  ];
  if (problems.length > 0 || service === undefined || address === undefined || joined instanceof Fault) {
    return { ok: false, problems };
  }
  return { ok: true, value: { ...joined, service, address, id } };
}
