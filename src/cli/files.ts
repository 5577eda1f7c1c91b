import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { readConfdConfig, registryOf } from '../files/confd/config.ts';
import { environmentKeys, openEnvironment } from '../files/confd/environment.ts';
import { overruled } from '../files/confd/overruled.ts';
import { givenEnvironment, rawEnvironment } from '../files/confd/raw-environment.ts';
import { readConfdResources } from '../files/confd/resources.ts';
import { traceResources } from '../files/confd/trace-resources.ts';
import { foreignKeys } from '../files/key-fold.ts';
import { type FilesAdmin, runFiles } from '../files/run-files.ts';
import { type Fault, faultsOf, PartialFailure } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import { defaultIntervalMs, type FileDeclaration, requireDistinct } from '../settings/file-declaration.ts';
import { type FilesSettings, filesCommand } from '../settings/files.ts';
import { strangeVariables } from '../settings/read-settings.ts';
import type { RegistrySettings } from '../settings/registry.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAllKeys, openRegistry } from './open-registry.ts';
import { colorsOf, print } from './outputs.ts';
import { paintedDiff } from './painted-diff.ts';
import { withoutOurs } from './secrets.ts';
import { abortOnSignal } from './signals.ts';

export async function run(invocation: Invocation): Promise<number> {
  if (!invocation.flags.has('as-confd')) return makeFiles(invocation, []);
  // An image that had confd may have variables with pointsman's prefix.
  const strange = strangeVariables(invocation.env);
  const names = new Set(strange.map(({ where }) => where));
  const env = Object.fromEntries(Object.entries(invocation.env).filter(([name]) => !names.has(name)));
  try {
    return await makeFiles({ ...invocation, env }, strange);
  } catch (error) {
    // confd has no exit code of its own for wrong settings.
    throw new PartialFailure(faultsOf(error));
  }
}

async function makeFiles(invocation: Invocation, strange: readonly Fault[]): Promise<number> {
  const settings = await readInvocation(filesCommand, invocation);
  const logger = await createLogger(settings.log);
  for (const fault of strange) {
    const reason = fault.toString();
    logger.warn({ event: 'variable-unknown', variable: fault.where, reason }, `a variable has no effect: ${reason}`);
  }
  const { signal, dispose } = abortOnSignal();
  const declare = () => declaredFiles(settings, invocation.env, logger);
  try {
    let next: DeclaredFiles | undefined = await declare();
    while (next !== undefined && !signal.aborted)
      next = await runDeclared(next, declare, { settings, invocation, logger, signal });
  } finally {
    dispose();
  }
  return done;
}

type Run = {
  readonly settings: FilesSettings;
  readonly invocation: Invocation;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** Makes the files until others are declared, and gives these; undefined when it ended otherwise. */
async function runDeclared(
  { declared, refused, registry, environment, ...rest }: DeclaredFiles,
  declare: () => Promise<DeclaredFiles>,
  { settings, invocation, logger, signal }: Run,
): Promise<DeclaredFiles | undefined> {
  const { layout } = settings;
  const env = withoutOurs(invocation.env);
  const mode = modeOf(settings.mode, rest);
  const intervalMs = settings.intervalMs ?? rest.intervalMs ?? defaultIntervalMs;
  const ended = new AbortController();
  const redeclared = new AbortController();
  const watched = mode === 'watch' ? rest.folder : undefined;
  const reading = declaredAgain(watched, declare, { intervalMs, logger, signal: ended.signal }).then((again) => {
    redeclared.abort();
    return again;
  });
  try {
    await runFiles(declared, {
      ...{ mode, logger, signal, env, refused, intervalMs },
      redeclared: watched === undefined ? undefined : redeclared.signal,
      openOwn: () => (layout === undefined ? openRegistry(registry, logger) : openLayout(registry, layout, logger)),
      ownHasReleases: layout === undefined,
      openReleases: environment ? undefined : () => openRegistry(registry, logger),
      openForeign: async () =>
        environment ? openEnvironment(rawEnvironment(env, givenEnvironment)) : openAllKeys(registry, logger),
      keysWithin: environment ? environmentKeys : foreignKeys,
      now: () => performance.now(),
      wall: () => new Date(),
      holdMs: settings.holdMs,
      admin: await adminOf(settings, invocation, logger),
      print: (text) => print(mode === 'diff' ? paintedDiff(text, colorsOf(process.stdout)) : text),
    });
  } finally {
    ended.abort();
  }
  return reading;
}

/**
 * Looks at the resources of a folder of confd again and again, as confd does, and gives what is declared once they changed. Undefined:
 * nothing changed until `signal` aborted.
 */
async function declaredAgain(
  watched: ConfdFolder | undefined,
  declare: () => Promise<DeclaredFiles>,
  {
    intervalMs,
    logger,
    signal,
  }: { readonly intervalMs: number; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<DeclaredFiles | undefined> {
  if (watched === undefined) return undefined;
  const { path } = watched;
  let { trace } = watched;
  for (;;) {
    await pause(intervalMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return undefined;
    const now = await traceResources(path);
    if (now === trace) continue;
    trace = now;
    try {
      const again = await declare();
      logger.info({ event: 'confd-folder-changed', path }, `the resources in ${path} are read again`);
      return again;
    } catch (error) {
      const reason = faultsOf(error).join('; ');
      logger.error(
        { event: 'confd-folder-refused', path, reason },
        `the resources in ${path} cannot be read, those from before stay in use: ${reason}`,
      );
    }
  }
}

/** What is done, with what confd.toml says where the command line is silent. */
function modeOf(given: FilesSettings['mode'], { noop, onetime }: Pick<DeclaredFiles, 'noop' | 'onetime'>) {
  if (noop && given !== 'diff') return 'dry-run';
  return onetime && given === 'watch' ? 'once' : given;
}

/** The server of metrics and health, which is loaded only when it is wanted: `--once` is often called in a loop. */
async function adminOf(
  { admin: address, adminHosts: allowed }: FilesSettings,
  { machine }: Invocation,
  logger: Logger,
): Promise<FilesAdmin | undefined> {
  if (address === undefined) return undefined;
  const { filesAdmin } = await import('./files-admin.ts');
  return filesAdmin({ address, hostname: machine.hostname, allowed }, logger);
}

async function openLayout(registry: RegistrySettings, layout: string, logger: Logger): Promise<Registry> {
  const { openForeignRegistry } = await import('./open-layout.ts');
  return openForeignRegistry(registry, layout, logger);
}

/** The folder of confd if none is named. */
const confdsFolder = '/etc/confd';

/** A folder of confd, and its trace before it was read. */
type ConfdFolder = { readonly path: string; readonly trace: string | undefined };

type DeclaredFiles = {
  readonly declared: readonly FileDeclaration[];
  /** The resources of confd that cannot be used. */
  readonly refused: readonly Fault[];
  readonly folder: ConfdFolder | undefined;
  readonly registry: RegistrySettings;
  readonly environment: boolean;
  readonly noop: boolean;
  readonly onetime: boolean;
  readonly intervalMs: number | undefined;
};

/** The files of the settings and of a folder of confd, with what its confd.toml says. */
async function declaredFiles(settings: FilesSettings, env: Invocation['env'], logger: Logger): Promise<DeclaredFiles> {
  const { files, confd, registry, registryGiven } = settings;
  const idle = { folder: undefined, refused: [], noop: false, onetime: false, intervalMs: undefined };
  const none = { ...idle, registry, environment: confd.environment };
  const { keepStaged } = settings;
  if (settings.confdDir === undefined && confd.config === undefined)
    return { ...none, declared: files.map((file) => ({ ...file, keepStaged })) };
  const beside = confd.as === undefined ? join(settings.confdDir ?? confdsFolder, 'confd.toml') : undefined;
  const path = confd.config ?? beside;
  const isSourceGiven = registryGiven || confd.environment;
  const peers = confd.as === 'etcd' ? (env['ETCDCTL_PEERS']?.split(',') ?? []).filter((peer) => peer !== '') : [];
  const config = await readConfdConfig(path, isSourceGiven, peers);
  const confdDir = settings.confdDir ?? config.confdir ?? confdsFolder;
  if (!settings.logLevelGiven && config.logLevel !== undefined) logger.level = config.logLevel;
  for (const { setting, file, given } of overruled(settings, config)) {
    logger.warn(
      { event: 'confd-config-overruled', path, setting, file, given },
      `${setting} of ${path} (${file}) is not used: the command line says ${given}; confd would use the file`,
    );
  }
  const trace = await traceResources(confdDir);
  const resources = await readConfdResources(confdDir, {
    ...{ mayLack: confd.as !== undefined, prefix: confd.prefix ?? config.prefix, escape: confd.escape },
    syncOnly: confd.syncOnly || config.syncOnly === true,
  });
  for (const { path, reason } of resources.notes) {
    logger.warn({ event: 'confd-file-skipped', path, reason }, `${path} is not used: ${reason}`);
  }
  for (const fault of resources.refused) {
    const reason = fault.toString();
    logger.error({ event: 'confd-resource-refused', path: fault.where, reason }, `a resource is not used: ${reason}`);
  }
  const declared = [...files, ...resources.files];
  requireDistinct(declared);
  return {
    declared: declared.map((file) => ({ ...file, keepStaged })),
    refused: resources.refused,
    folder: { path: confdDir, trace },
    registry: registryOf(registry, registryGiven, config, settings.registryPlain),
    environment: confd.environment || (config.backend === 'env' && !registryGiven),
    noop: config.noop === true,
    onetime: config.onetime === true,
    intervalMs: config.intervalMs,
  };
}
