import type { Address } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import type { Parsed } from '../model/parsed.ts';
import { formatDuration, parseDuration } from '../model/quantity.ts';
import { adminHostsOption } from './admin-hosts.ts';
import { declareCommand } from './command.ts';
import {
  defaultIntervalMs,
  type EscapeName,
  escapeNames,
  type FileDeclaration,
  fileDeclarations,
  fileOptions,
  parseForeignKey,
} from './file-declaration.ts';
import { holdForOption } from './holding.ts';
import { type LogSettings, logOptionsOr, logSettings } from './log.ts';
import { onOff, optional } from './option.ts';
import {
  layoutOptions,
  parseRegistryLocation,
  type RegistryLocation,
  type RegistrySettings,
  registryOptions,
  registrySettings,
} from './registry.ts';
import { addressWord, durationWord, oneOf, pathWord, word } from './words.ts';

/** The settings of `pointsman files`. */
export type FilesSettings = {
  readonly mode: 'watch' | 'once' | 'dry-run' | 'diff';
  readonly files: readonly FileDeclaration[];
  /** A folder with confd's `conf.d` and `templates`, whose files are made, too. */
  readonly confdDir: string | undefined;
  /** What the command line says of that folder. */
  readonly confd: {
    /** The backend of confd, when pointsman stands in for it; undefined when it does not. */
    readonly as: ConfdBackend | undefined;
    readonly config: string | undefined;
    readonly prefix: string | undefined;
    readonly escape: EscapeName | undefined;
    readonly syncOnly: boolean;
    /** Keys are variables of the environment. */
    readonly environment: boolean;
  };
  /** A copy of each new text is kept beside its file. */
  readonly keepStaged: boolean;
  /** How often to look for changes of a file by other programs; undefined: not said. */
  readonly intervalMs: number | undefined;
  readonly registry: RegistrySettings;
  /** Whether the registry was said, or is the one that is used if nothing is. */
  readonly registryGiven: boolean;
  /** etcd is reached without TLS, whatever confd.toml says. */
  readonly registryPlain: boolean;
  readonly layout: string | undefined;
  /** How long entries are held that vanished without being deleted, in ms; undefined: until they are released. */
  readonly holdMs: number | undefined;
  /** The address of metrics and health; undefined without one. */
  readonly admin: Address | undefined;
  readonly adminHosts: readonly string[];
  readonly log: LogSettings;
  /** Whether the level of the log was said. */
  readonly logLevelGiven: boolean;
};

const confdBackends = ['etcd', 'etcdv3', 'env'] as const;
type ConfdBackend = (typeof confdBackends)[number];

/** The registry if none is named: with TLS when its files are. */
const defaultRegistry = (tls: boolean): RegistryLocation => ({
  ...{ kind: 'etcd', members: [{ host: '127.0.0.1', port: 2379, family: 'ipv4' }], domain: undefined, tls },
});

/** A duration; a number alone is seconds, as it is for confd. */
const parseInterval = (text: string): Parsed<number> => parseDuration(/^[0-9]+$/.test(text) ? `${text}s` : text);

/** A prefix as confd takes it: the slash before it may be left out. */
const parsePrefix = (text: string): Parsed<string> => parseForeignKey(text.startsWith('/') ? text : `/${text}`);

export const filesCommand = declareCommand({
  name: 'files',
  summary: 'make files from templates and the registry, and update them',
  options: {
    ...fileOptions,
    once: onOff('render each file once, then end'),
    dryRun: onOff('print which files would change, and write nothing'),
    diff: onOff('print how the files would change, and write nothing'),
    confdDir: optional(
      'FOLDER',
      pathWord,
      "render the files of confd's template resources as well (FOLDER/conf.d/*.toml)",
    ),
    noop: onOff("the same as --dry-run (confd's name)"),
    syncOnly: onOff('render the files of confd without their checks and reloads'),
    keepStageFile: onOff('keep each new text next to its file, as .NAME.staged'),
    fromEnvironment: onOff("read keys from environment variables: /nginx/domain is NGINX_DOMAIN (confd's backend env)"),
    confdConfig: optional('FILE', pathWord, 'settings file of confd (default: FOLDER/confd.toml)'),
    asConfd: optional(
      'BACKEND',
      oneOf(confdBackends),
      "stand in for the command confd, with this backend: confd's exit codes and default places (docker/confd gives it)",
      { flagOnly: true },
    ),
    withoutTls: onOff('reach etcd without TLS, even if confd.toml names a CA or a certificate'),
    prefix: optional('KEY', word(parsePrefix), 'prefix of the keys of all resources of confd, instead of their own'),
    escape: optional(
      'HOW',
      oneOf(escapeNames),
      'how to write values into the files of confd: word, haproxy, nginx, line (default: unchanged)',
    ),
    interval: optional(
      'DURATION',
      durationWord(100, 3_600_000, parseInterval),
      `how often to look whether somebody else changed or deleted a file, and restore it, 5s, or 5 as with confd; ${formatDuration(defaultIntervalMs)} if not given`,
    ),
    ...registryOptions,
    registry: optional(
      'LOCATION',
      word(parseRegistryLocation),
      `${registryOptions.registry.description} (default: nodes of confd.toml, else ${registryOptions.registry.fallback.text})`,
    ),
    ...layoutOptions,
    ...holdForOption,
    admin: optional(
      'HOST:PORT',
      addressWord,
      'where pointsman serves metrics and health while it runs (default: nowhere)',
    ),
    ...adminHostsOption,
    ...logOptionsOr('that of confd.toml, else info'),
  },
  assemble: (values): FilesSettings => {
    const { once, dryRun, noop, diff, confdDir, interval, layout, holdFor: holdMs, admin, adminHosts } = values;
    const { confdConfig, prefix, syncOnly, fromEnvironment, keepStageFile } = values;
    const given = [once && !noop ? '--once' : '', dryRun || noop ? '--dry-run' : '', diff ? '--diff' : ''].filter(
      Boolean,
    );
    if (given.length > 1) throw new Fault('settings', `it cannot be used with ${given[0]}`, { where: given[1] });
    const tls = [values.etcdCa, values.etcdCert, values.etcdKey].some((file) => file !== undefined);
    const registry = registrySettings({ ...values, registry: values.registry ?? defaultRegistry(tls) });
    const files = fileDeclarations(values.templates);
    if (files.length === 0 && confdDir === undefined && confdConfig === undefined) {
      throw new Fault('settings', 'no file is declared', {
        hint: 'give --config FILE with a list `templates`, or --confd-dir FOLDER',
      });
    }
    return {
      mode: dryRun || noop ? 'dry-run' : once ? 'once' : diff ? 'diff' : 'watch',
      files,
      confdDir,
      confd: {
        as: values.asConfd,
        config: confdConfig,
        prefix,
        escape: values.escape,
        syncOnly,
        environment: fromEnvironment,
      },
      keepStaged: keepStageFile,
      intervalMs: interval,
      registry,
      registryGiven: values.registry !== undefined,
      registryPlain: values.withoutTls,
      layout,
      holdMs,
      admin,
      adminHosts,
      log: logSettings({ ...values, logLevel: values.logLevel ?? 'info' }),
      logLevelGiven: values.logLevel !== undefined,
    };
  },
});
