import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import { adminHostsOption } from './admin-hosts.ts';
import { declareCommand } from './command.ts';
import { defaultIntervalMs, type FileDeclaration, fileDeclarations, fileOptions } from './file-declaration.ts';
import { holdForOption } from './holding.ts';
import { type LogSettings, logOptions, logSettings } from './log.ts';
import { defaulted, onOff, optional } from './option.ts';
import { layoutOptions, type RegistrySettings, registryOptions, registrySettings } from './registry.ts';
import { addressWord, durationWord, pathWord } from './words.ts';

/** The settings of `pointsman files`. */
export type FilesSettings =
  | {
      readonly kind: 'make';
      readonly mode: 'watch' | 'once' | 'dry-run' | 'diff';
      readonly files: readonly FileDeclaration[];
      /** A folder with confd's `conf.d` and `templates`, whose files are made, too. */
      readonly confdDir: string | undefined;
      /** How often to look for changes of a file by other programs. */
      readonly intervalMs: number;
      readonly registry: RegistrySettings;
      readonly layout: string | undefined;
      /** How long entries are held that vanished without being deleted, in ms; undefined: until they are released. */
      readonly holdMs: number | undefined;
      /** The address of metrics and health; undefined without one. */
      readonly admin: Address | undefined;
      readonly adminHosts: readonly string[];
      readonly log: LogSettings;
    }
  /** Prints one of confd's templates as Mustache. */
  | { readonly kind: 'convert'; readonly path: string };

export const filesCommand = declareCommand({
  name: 'files',
  summary: 'make any files from templates and the registry, and keep them up to date',
  options: {
    ...fileOptions,
    once: onOff('make each file once, and end'),
    dryRun: onOff('say what would be made, and write nothing'),
    diff: onOff('show what would change, and write nothing'),
    confdDir: optional('FOLDER', pathWord, "make the files of confd's template resources (FOLDER/conf.d/*.toml), too"),
    convert: optional('FILE', pathWord, "print one of confd's templates as Mustache, and end", { flagOnly: true }),
    interval: defaulted(
      'DURATION',
      durationWord(100, 3_600_000),
      formatDuration(defaultIntervalMs),
      'how often to look whether somebody else changed or deleted a file, and restore it',
    ),
    ...registryOptions,
    ...layoutOptions,
    ...holdForOption,
    admin: optional(
      'HOST:PORT',
      addressWord,
      'where pointsman serves metrics and health while it keeps the files; nowhere if not given',
    ),
    ...adminHostsOption,
    ...logOptions,
  },
  assemble: (values): FilesSettings => {
    const { once, dryRun, diff, confdDir, convert, interval, layout, holdFor: holdMs, admin, adminHosts } = values;
    if (convert !== undefined) return { kind: 'convert', path: convert };
    const given = [once ? '--once' : '', dryRun ? '--dry-run' : '', diff ? '--diff' : ''].filter((flag) => flag !== '');
    if (given.length > 1) throw new Fault('settings', `it does not go with ${given[0]}`, { where: given[1] });
    const registry = registrySettings(values);
    const files = fileDeclarations(values.templates);
    if (files.length === 0 && confdDir === undefined) {
      throw new Fault('settings', 'there is no file to make', {
        hint: 'give --config FILE with a list `templates`, or --confd-dir FOLDER',
      });
    }
    const mode = once ? 'once' : dryRun ? 'dry-run' : diff ? 'diff' : 'watch';
    return {
      kind: 'make',
      mode,
      files,
      confdDir,
      intervalMs: interval,
      registry,
      layout,
      holdMs,
      admin,
      adminHosts,
      log: logSettings(values),
    };
  },
});
