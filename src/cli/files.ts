import { join } from 'node:path';
import type { Logger } from 'pino';
import { readConfdConfig, registryOf } from '../files/confd/config.ts';
import { environmentKeys, openEnvironment } from '../files/confd/environment.ts';
import { overruled } from '../files/confd/overruled.ts';
import { givenEnvironment, rawEnvironment } from '../files/confd/raw-environment.ts';
import { readConfdResources } from '../files/confd/resources.ts';
import { foreignKeys } from '../files/key-fold.ts';
import { type FilesAdmin, runFiles } from '../files/run-files.ts';
import type { Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import { defaultIntervalMs, type FileDeclaration, requireDistinct } from '../settings/file-declaration.ts';
import { type FilesSettings, filesCommand } from '../settings/files.ts';
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
  const settings = await readInvocation(filesCommand, invocation);
  const logger = await createLogger(settings.log);
  const { signal, dispose } = abortOnSignal();
  const { layout } = settings;
  const env = withoutOurs(invocation.env);
  try {
    const { declared, refused, registry, environment, ...rest } = await declaredFiles(settings, logger);
    const mode = rest.noop && settings.mode !== 'diff' ? 'dry-run' : settings.mode;
    await runFiles(declared, {
      ...{ mode, logger, signal, env, refused },
      openOwn: () => (layout === undefined ? openRegistry(registry, logger) : openLayout(registry, layout, logger)),
      ownHasReleases: layout === undefined,
      openReleases: environment ? undefined : () => openRegistry(registry, logger),
      openForeign: async () =>
        environment ? openEnvironment(rawEnvironment(env, givenEnvironment)) : openAllKeys(registry, logger),
      keysWithin: environment ? environmentKeys : foreignKeys,
      now: () => performance.now(),
      intervalMs: settings.intervalMs ?? rest.intervalMs ?? defaultIntervalMs,
      wall: () => new Date(),
      holdMs: settings.holdMs,
      admin: await adminOf(settings, invocation, logger),
      print: (text) => print(mode === 'diff' ? paintedDiff(text, colorsOf(process.stdout)) : text),
    });
  } finally {
    dispose();
  }
  return done;
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

type DeclaredFiles = {
  readonly declared: readonly FileDeclaration[];
  /** The resources of confd that cannot be used. */
  readonly refused: readonly Fault[];
  readonly registry: RegistrySettings;
  readonly environment: boolean;
  readonly noop: boolean;
  readonly intervalMs: number | undefined;
};

/** The files of the settings and of a folder of confd, with what its confd.toml says. */
async function declaredFiles(settings: FilesSettings, logger: Logger): Promise<DeclaredFiles> {
  const { files, confdDir, confd, registry, registryGiven } = settings;
  const none = { refused: [], registry, environment: confd.environment, noop: false, intervalMs: undefined };
  const { keepStaged } = settings;
  if (confdDir === undefined) return { ...none, declared: files.map((file) => ({ ...file, keepStaged })) };
  const path = confd.config ?? join(confdDir, 'confd.toml');
  const isSourceGiven = registryGiven || confd.environment;
  const config = await readConfdConfig(path, isSourceGiven);
  if (!settings.logLevelGiven && config.logLevel !== undefined) logger.level = config.logLevel;
  for (const { setting, file, given } of overruled(settings, config)) {
    logger.warn(
      { event: 'confd-config-overruled', path, setting, file, given },
      `${setting} of ${path} (${file}) is not used: the command line says ${given}; confd would use the file`,
    );
  }
  const resources = await readConfdResources(confdDir, {
    ...{ prefix: confd.prefix ?? config.prefix, escape: confd.escape },
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
    registry: registryOf(registry, registryGiven, config),
    environment: confd.environment || (config.backend === 'env' && !registryGiven),
    noop: config.noop === true,
    intervalMs: config.intervalMs,
  };
}
