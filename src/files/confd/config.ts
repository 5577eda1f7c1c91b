import { readFile } from 'node:fs/promises';
import { describe, errorCode, Fault } from '../../model/fault.ts';
import type { LogSettings } from '../../settings/log.ts';
import { parseRegistryLocation, type RegistrySettings } from '../../settings/registry.ts';
import { Fields, parseToml } from './toml.ts';

/** What confd.toml says; undefined where it says nothing. */
export type ConfdConfig = {
  readonly prefix: string | undefined;
  readonly noop: boolean | undefined;
  readonly syncOnly: boolean | undefined;
  readonly intervalMs: number | undefined;
  readonly logLevel: LogSettings['level'] | undefined;
  readonly backend: string | undefined;
  readonly nodes: readonly string[];
  /** The registry that its nodes are; undefined also when it is not asked for. */
  readonly registry: RegistrySettings | undefined;
};

const nothing: ConfdConfig = {
  ...{ prefix: undefined, noop: undefined, syncOnly: undefined, intervalMs: undefined, logLevel: undefined },
  ...{ backend: undefined, nodes: [], registry: undefined },
};

/** The levels of confd. */
const levels: Readonly<Record<string, LogSettings['level']>> = {
  ...{ panic: 'error', fatal: 'error', error: 'error', warn: 'warn', warning: 'warn' },
  ...{ info: 'info', debug: 'debug', trace: 'trace' },
};

/**
 * Reads confd.toml; there need not be one. `root`: the root of the registry that its nodes are; undefined when another registry is used,
 * so that it does not matter which backend the file names. Rejects with Fault `settings`.
 */
export async function readConfdConfig(path: string, root: string | undefined): Promise<ConfdConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  if (text === undefined) return nothing;
  const fields = new Fields(path, text, parseToml(path, text));
  const interval = fields.integer('interval');
  const config: ConfdConfig = {
    prefix: fields.text('prefix') || undefined,
    noop: fields.flag('noop'),
    syncOnly: fields.flag('sync-only'),
    intervalMs: interval === undefined ? undefined : Math.min(Math.max(interval, 1), 3600) * 1000,
    logLevel: levelOf(fields),
    backend: fields.text('backend') || undefined,
    nodes: fields.texts('nodes') ?? [],
    registry: root === undefined ? undefined : registryOf(fields, root),
  };
  if (fields.faults.length > 0) throw new AggregateError(fields.faults);
  return config;
}

function levelOf(fields: Fields): ConfdConfig['logLevel'] {
  const given = fields.text('log-level');
  if (given === undefined || given === '') return undefined;
  return (
    levels[given.toLowerCase()] ?? fields.fail('log-level', `"${given}" is none of ${Object.keys(levels).join(', ')}`)
  );
}

function registryOf(fields: Fields, root: string): RegistrySettings | undefined {
  const backend = fields.text('backend') ?? 'etcd';
  if (backend === 'env') return undefined;
  if (!backend.startsWith('etcd')) {
    return fields.fail('backend', `pointsman reads etcd, and not ${backend}`, 'give --registry, or backend = "env"');
  }
  const nodes = fields.texts('nodes') ?? [];
  const domain = fields.text('srv_domain') ?? '';
  const record = fields.text('srv_record') || (domain === '' ? '' : `_${backend}._tcp.${domain}`);
  if (nodes.length === 0 && record === '') return undefined;
  const [ca, cert, key] = ['client_cakeys', 'client_cert', 'client_key'].map((name) => fields.text(name) || undefined);
  const https =
    nodes.some((node) => node.startsWith('https://')) || (record !== '' && fields.text('scheme') === 'https');
  const tls = ca !== undefined || cert !== undefined || https;
  // confd takes the nodes of the records instead of those that are named.
  const scheme = `etcd${tls ? 's' : ''}${record === '' ? '' : '+srv'}://`;
  const places = record === '' ? nodes.map((node) => node.replace(/^[a-z]+:\/\/|\/+$/g, '')).join() : record;
  const location = parseRegistryLocation(scheme + places);
  if (!location.ok) return fields.fail('nodes', location.reason);
  if (location.value.kind !== 'etcd') return undefined;
  const { members, domain: srv } = location.value;
  // confd logs in only when it is told to.
  const user = fields.flag('basic_auth') === true ? fields.text('username') : undefined;
  const password = fields.text('password');
  return {
    ...{ kind: 'etcd', members, domain: srv, root },
    tls: tls ? { ca, client: cert === undefined || key === undefined ? undefined : { cert, key } } : undefined,
    login: user ? { user, password: { kind: 'text', text: password ?? '' } } : undefined,
  };
}
