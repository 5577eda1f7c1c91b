import { type DeclaredArea, declaredAreas } from '../model/declared-area.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';
import { declareCommand } from './command.ts';
import { type LogSettings, quietLogOptions } from './log.ts';
import { list, optional } from './option.ts';
import { type RegistrySettings, registryAndLog, registryOptions } from './registry.ts';
import { oneOf, pathWord, word } from './words.ts';

export type ExportSettings = {
  readonly registry: RegistrySettings;
  readonly log: LogSettings;
  /** Only what this set owns; undefined: everything. */
  readonly set: SetName | undefined;
  readonly areas: readonly DeclaredArea[];
  /** The folder for a file per service; undefined: everything goes to standard output. */
  readonly folder: string | undefined;
};

const oneCall = { flagOnly: true } as const;

export const exportCommand = declareCommand({
  name: 'export',
  summary: 'print what is in the registry as files that apply writes back',
  options: {
    set: optional('NAME', word(parseSetName), 'only what this set of pointsman apply owns', oneCall),
    area: { ...list('AREA', oneOf(declaredAreas).word, `only these areas: ${declaredAreas.join(', ')}`), ...oneCall },
    to: optional('FOLDER', pathWord, 'write a file for each service into this folder, and one for keys', oneCall),
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values): ExportSettings => ({
    ...registryAndLog(values),
    set: values.set,
    areas: values.area.length === 0 ? declaredAreas : values.area,
    folder: values.to,
  }),
});

export const schemaCommand = declareCommand({
  name: 'schema',
  summary: 'print the JSON schema of declaration files, for editors',
  options: {},
  assemble: () => ({}),
});
