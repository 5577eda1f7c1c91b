import { expect, test } from 'vitest';
import type { FilesSettings } from '../../settings/files.ts';
import { parseRegistryLocation } from '../../settings/registry.ts';
import type { ConfdConfig } from './config.ts';
import { overruled } from './overruled.ts';

const none: ConfdConfig = {
  ...{ confdir: undefined, onetime: undefined },
  ...{ prefix: undefined, noop: undefined, syncOnly: undefined, intervalMs: undefined, logLevel: undefined },
  ...{ backend: undefined, nodes: [], places: undefined },
  access: { ca: undefined, client: undefined, login: undefined },
};

function registryAt(location: string): FilesSettings['registry'] {
  const parsed = parseRegistryLocation(location);
  if (!parsed.ok || parsed.value.kind !== 'etcd') throw new Error(location);
  const { members, domain } = parsed.value;
  return { kind: 'etcd', members, domain, root: '/', tls: undefined, login: undefined };
}

const confd = {
  as: undefined,
  config: undefined,
  prefix: undefined,
  escape: undefined,
  syncOnly: false,
  environment: false,
};
type Given = Parameters<typeof overruled>[0];
const silent: Given = {
  ...{
    confdDir: undefined,
    confd,
    mode: 'watch',
    intervalMs: undefined,
    registry: registryAt('etcd://127.0.0.1:2379'),
    registryGiven: false,
  },
  ...{ log: { level: 'info', format: 'auto' }, logLevelGiven: false },
};
const given: Given = {
  ...silent,
  ...{ confd: { ...confd, prefix: '/q', syncOnly: true }, mode: 'dry-run', intervalMs: 5000 },
  ...{ registry: registryAt('etcd://10.0.0.1:2379'), registryGiven: true },
  ...{ log: { level: 'debug', format: 'auto' }, logLevelGiven: true },
};

test('nothing is said of settings that only one gives, or both alike', () => {
  const all: ConfdConfig = {
    ...none,
    ...{ confdir: '/c', onetime: true },
    ...{ prefix: 'p', noop: false, syncOnly: false, intervalMs: 600_000, logLevel: 'warn' },
    ...{ backend: 'env', nodes: ['a:1'] },
  };
  expect(overruled(silent, all)).toEqual([]);
  expect(overruled(given, none)).toEqual([]);
  const same: ConfdConfig = {
    ...none,
    ...{ prefix: 'q/', noop: true, syncOnly: true, intervalMs: 5000, logLevel: 'debug' },
    ...{ backend: 'etcdv3', nodes: ['http://10.0.0.1:2379/'] },
  };
  expect(overruled(given, same)).toEqual([]);
});

test('each setting that both give differently is said, with both values', () => {
  const other: ConfdConfig = {
    ...none,
    ...{ prefix: '/p', noop: false, syncOnly: false, intervalMs: 600_000, logLevel: 'warn' },
    ...{ backend: 'consul', nodes: ['http://10.0.0.2:2379'] },
  };
  expect(overruled(given, other).map((one) => Object.values(one))).toEqual([
    ['prefix', '/p', '/q'],
    ['noop', 'false', 'true'],
    ['sync-only', 'false', 'true'],
    ['interval', '10m', '5s'],
    ['log-level', 'warn', 'debug'],
    ['backend', 'consul', '--registry'],
    ['nodes', 'http://10.0.0.2:2379', '--registry'],
  ]);
  const elsewhere: ConfdConfig = { ...none, confdir: '/c', onetime: false };
  expect(overruled({ ...silent, confdDir: '/d', mode: 'once' }, elsewhere)).toEqual([
    { setting: 'confdir', file: '/c', given: '/d' },
    { setting: 'onetime', file: 'false', given: 'true' },
  ]);
  expect(overruled({ ...silent, confdDir: '/c/', mode: 'once' }, { ...elsewhere, onetime: true })).toEqual([]);
});
