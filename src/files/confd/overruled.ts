import { posix } from 'node:path';
import { formatDuration } from '../../model/quantity.ts';
import type { FilesSettings } from '../../settings/files.ts';
import type { ConfdConfig } from './config.ts';

/** A setting of confd.toml that is not used, because the command line says something else. */
export type Overruled = { readonly setting: string; readonly file: string; readonly given: string };

type Given = Pick<
  FilesSettings,
  'confdDir' | 'confd' | 'mode' | 'intervalMs' | 'registry' | 'registryGiven' | 'log' | 'logLevelGiven'
>;

/** The settings that both give, with different values. In confd the file is stronger than flags. */
export function overruled(given: Given, config: ConfdConfig): readonly Overruled[] {
  const { confdDir, confd, intervalMs, log, registry, registryGiven } = given;
  const place = registryGiven ? '--registry' : confd.environment ? '--from-environment' : undefined;
  const level = given.logLevelGiven ? log.level : undefined;
  const isNoop = given.mode === 'dry-run' || undefined;
  const members = new Set(registry.kind === 'etcd' ? registry.members.map(({ host, port }) => `${host}:${port}`) : []);
  const isElsewhere = config.nodes.some((node) => !members.has(node.replace(/^[a-z]+:\/\/|\/+$/g, '')));
  return [
    ...differing('confdir', config.confdir, confdDir, (folder) => posix.resolve(folder)),
    ...differing('onetime', config.onetime, given.mode === 'once' || undefined),
    ...differing('prefix', config.prefix, confd.prefix, (prefix) => posix.resolve('/', prefix)),
    ...differing('noop', config.noop, isNoop),
    ...differing('sync-only', config.syncOnly, confd.syncOnly || undefined),
    ...differing('interval', ofMs(config.intervalMs), ofMs(intervalMs)),
    ...differing('log-level', config.logLevel, level),
    ...differing('backend', config.backend, place, (name) =>
      isEnv(name) ? 'env' : /^(etcd|--reg)/.test(name) ? 'etcd' : name,
    ),
    ...(place !== undefined && config.nodes.length > 0 && isElsewhere && !isEnv(place)
      ? [{ setting: 'nodes', file: config.nodes.join(', '), given: place }]
      : []),
  ];
}

const ofMs = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : formatDuration(ms));
const isEnv = (name: string): boolean => name === 'env' || name === '--from-environment';

function differing<T extends string | boolean>(
  setting: string,
  file: T | undefined,
  given: T | undefined,
  same: (value: T) => unknown = (value) => value,
): readonly Overruled[] {
  if (file === undefined || given === undefined || same(file) === same(given)) return [];
  return [{ setting, file: String(file), given: String(given) }];
}
