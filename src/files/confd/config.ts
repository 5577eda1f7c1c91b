import { readFile } from 'node:fs/promises';
import { describe, errorCode, Fault } from '../../model/fault.ts';
import type { LogSettings } from '../../settings/log.ts';
import { parseRegistryLocation, type RegistryLocation, type RegistrySettings } from '../../settings/registry.ts';
import { Fields, parseToml } from './toml.ts';

/** What confd.toml says; undefined where it says nothing. */
export type ConfdConfig = {
  readonly confdir: string | undefined;
  readonly onetime: boolean | undefined;
  readonly prefix: string | undefined;
  readonly noop: boolean | undefined;
  readonly syncOnly: boolean | undefined;
  readonly intervalMs: number | undefined;
  readonly logLevel: LogSettings['level'] | undefined;
  readonly backend: string | undefined;
  readonly nodes: readonly string[];
  /** Where etcd is; undefined also when it is not asked for. */
  readonly places: EtcdPlaces | undefined;
  /** How etcd is reached. */
  readonly access: Pick<EtcdSettings, 'login'> & NonNullable<EtcdSettings['tls']>;
};

/** `plain`: without TLS, whatever certificates there are, because the first node, or `scheme`, says http. */
type EtcdPlaces = Extract<RegistryLocation, { kind: 'etcd' }> & { readonly plain: boolean };
type EtcdSettings = Extract<RegistrySettings, { kind: 'etcd' }>;

/** The levels of confd. */
const levels: Readonly<Record<string, LogSettings['level']>> = {
  ...{ panic: 'error', fatal: 'error', error: 'error', warn: 'warn', warning: 'warn' },
  ...{ info: 'info', debug: 'debug', trace: 'trace' },
};

/**
 * Reads confd.toml; there need not be one, nor a path of one. Where the keys are is not read when the command line says it, so that it does not matter
 * then which backend the file names. `peers`: the nodes when the file names none, and its backend is `etcd`. Rejects with Fault `settings`.
 */
export async function readConfdConfig(
  path: string | undefined,
  isPlaceGiven: boolean,
  peers: readonly string[] = [],
): Promise<ConfdConfig> {
  const text = path === undefined ? '' : await readText(path);
  const where = path ?? 'confd.toml';
  const fields = new Fields(where, text, parseToml(where, text));
  const interval = fields.integer('interval');
  const config: ConfdConfig = {
    confdir: fields.text('confdir') || undefined,
    onetime: fields.flag('onetime'),
    prefix: fields.text('prefix') || undefined,
    noop: fields.flag('noop'),
    syncOnly: fields.flag('sync-only'),
    intervalMs: interval === undefined ? undefined : Math.min(Math.max(interval, 1), 3600) * 1000,
    logLevel: levelOf(fields),
    backend: fields.text('backend') || undefined,
    nodes: fields.texts('nodes') ?? [],
    places: isPlaceGiven ? undefined : placesOf(fields, peers),
    access: accessOf(fields),
  };
  if (fields.faults.length > 0) throw new AggregateError(fields.faults);
  return config;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return '';
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}

function levelOf(fields: Fields): ConfdConfig['logLevel'] {
  const given = fields.text('log-level');
  if (given === undefined || given === '') return undefined;
  return (
    levels[given.toLowerCase()] ?? fields.fail('log-level', `"${given}" is none of ${Object.keys(levels).join(', ')}`)
  );
}

/** Where etcd is; undefined where the file names none. */
function placesOf(fields: Fields, peers: readonly string[]): EtcdPlaces | undefined {
  const backend = fields.text('backend') ?? 'etcd';
  if (backend === 'env') return undefined;
  if (!backend.startsWith('etcd')) {
    return fields.fail(
      'backend',
      `pointsman reads etcd and the environment, but not ${backend}`,
      'give --registry, or backend = "env"',
    );
  }
  const named = fields.texts('nodes') ?? [];
  const nodes = named.length > 0 || backend !== 'etcd' ? named : peers;
  const domain = fields.text('srv_domain') ?? '';
  const record = fields.text('srv_record') || (domain === '' ? '' : `_${backend}._tcp.${domain}`);
  if (nodes.length === 0 && record === '') return undefined;
  const scheme = fields.text('scheme') || 'http';
  // confd takes the nodes of the records instead of those that are named. The scheme of the first node is that of all; with the
  // backend etcd, nodes of records have the one of `scheme`.
  const first = record === '' ? nodes[0] : backend === 'etcd' || scheme === 'https' ? `${scheme}://` : '';
  const tls = first?.startsWith('https://') === true;
  const place = `etcd${tls ? 's' : ''}${record === '' ? '' : '+srv'}://`;
  const places = record === '' ? nodes.map((node) => node.replace(/^[a-z]+:\/\/|\/+$/g, '')).join() : record;
  const location = parseRegistryLocation(place + places);
  if (!location.ok) {
    if (record !== '' || named.length > 0) return fields.fail('nodes', location.reason);
    throw new Fault('settings', location.reason, { where: 'ETCDCTL_PEERS' });
  }
  const plain = first?.startsWith('http://') === true;
  return location.value.kind === 'etcd' ? { ...location.value, plain } : undefined;
}

function accessOf(fields: Fields): ConfdConfig['access'] {
  const [ca, cert, key] = ['client_cakeys', 'client_cert', 'client_key'].map((name) => fields.text(name) || undefined);
  // confd logs in only when it is told to.
  const user = fields.flag('basic_auth') === true ? fields.text('username') : undefined;
  return {
    ca,
    client: cert === undefined || key === undefined ? undefined : { cert, key },
    login: user ? { user, password: { kind: 'text', text: fields.text('password') ?? '' } } : undefined,
  };
}

/**
 * The registry of the command line, with what confd.toml adds to it: where etcd is, unless the command line says so, and the files of
 * TLS and the login that it does not give. As for confd, a CA or a certificate means TLS, unless the place says http or `plain` is set.
 */
export function registryOf(
  given: RegistrySettings,
  isGiven: boolean,
  { places, access }: Pick<ConfdConfig, 'places' | 'access'>,
  plain = false,
): RegistrySettings {
  if (given.kind !== 'etcd') return given;
  const login = given.login ?? access.login;
  const { members, domain, tls: isTls } = isGiven || places === undefined ? { ...given, tls: undefined } : places;
  if (plain || (!isGiven && places?.plain === true)) return { ...given, members, domain, tls: undefined, login };
  const ca = given.tls?.ca ?? access.ca;
  const client = given.tls?.client ?? access.client;
  const hasTls = given.tls !== undefined || isTls === true || ca !== undefined || client !== undefined;
  return { ...given, members, domain, tls: hasTls ? { ca, client } : undefined, login };
}
