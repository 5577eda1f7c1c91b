import { parseAddressSource } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import { fieldName, type Machine, optional } from './option.ts';
import { readOptions } from './read-options.ts';
import { type InstanceSettings, type InstanceTraits, traitOptions, traitsOf } from './register.ts';
import type { ReadResult, SettingsFile } from './sources.ts';
import { labelWord, word } from './words.ts';

const table = {
  service: optional('NAME', word(parseServiceName), 'the service'),
  address: optional('ADDRESS', word(parseAddressSource), 'where it is reached'),
  id: optional('NAME', word(parseInstanceId), 'its name in the service'),
  version: optional('LABEL', labelWord, 'version of the application'),
  ...traitOptions,
};

/** The fields of a declaration. */
export const declarationFields: readonly string[] = Object.keys(table).map(fieldName);

/** Reads the declaration of one instance, or returns all its mistakes. `traits` apply to fields that it does not set. */
export function readDeclaration(
  file: SettingsFile,
  traits: InstanceTraits,
  machine: Machine,
): ReadResult<InstanceSettings> {
  const strange = [...file.fields.values()]
    .filter(({ name }) => !declarationFields.includes(name))
    .map(({ name, where }) => {
      const hint = didYouMean(name, declarationFields) ?? `there are ${declarationFields.join(', ')}`;
      return new Fault('settings', 'unknown field of a declaration', { where: `${where}: ${name}`, hint });
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
