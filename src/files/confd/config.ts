import { readFile } from 'node:fs/promises';
import { describe, errorCode, Fault } from '../../model/fault.ts';
import { parseRegistryLocation, type RegistrySettings } from '../../settings/registry.ts';
import { Fields, parseToml } from './toml.ts';

/** What confd.toml says; undefined where it says nothing. */
export type ConfdConfig = {
  readonly prefix: string | undefined;
  readonly noop: boolean;
  readonly syncOnly: boolean;
  readonly intervalMs: number | undefined;
  /** Keys are variables of the environment (`backend = "env"`). */
  readonly environment: boolean;
  /** The registry that its nodes are. */
  readonly registry: RegistrySettings | undefined;
};

const nothing: ConfdConfig = {
  ...{ prefix: undefined, noop: false, syncOnly: false, intervalMs: undefined },
  ...{ environment: false, registry: undefined },
};

/** Reads confd.toml; there need not be one. Rejects with Fault `settings`. */
export async function readConfdConfig(path: string, root: string): Promise<ConfdConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  if (text === undefined) return nothing;
  const fields = new Fields(path, text, parseToml(path, text));
  const interval = fields.integer('interval');
  const config: ConfdConfig = {
    prefix: fields.text('prefix') || undefined,
    noop: fields.flag('noop') ?? false,
    syncOnly: fields.flag('sync-only') ?? false,
    intervalMs: interval === undefined ? undefined : Math.min(Math.max(interval, 1), 3600) * 1000,
    environment: fields.text('backend') === 'env',
    registry: registryOf(fields, root),
  };
  if (fields.faults.length > 0) throw new AggregateError(fields.faults);
  return config;
}

function registryOf(fields: Fields, root: string): RegistrySettings | undefined {
  const backend = fields.text('backend') ?? 'etcd';
  if (backend === 'env') return undefined;
  if (!backend.startsWith('etcd')) {
    return fields.fail('backend', `pointsman reads etcd, and not ${backend}`, 'give --registry, or backend = "env"');
  }
  const nodes = fields.texts('nodes') ?? [];
  const domain = fields.text('srv_domain') ?? '';
  if (nodes.length === 0 && domain === '') return undefined;
  const [ca, cert, key] = ['client_cakeys', 'client_cert', 'client_key'].map((name) => fields.text(name) || undefined);
  const tls = ca !== undefined || cert !== undefined || nodes.some((node) => node.startsWith('https://'));
  const scheme = `etcd${tls ? 's' : ''}${nodes.length === 0 ? '+srv' : ''}://`;
  const places = nodes.length === 0 ? domain : nodes.map((node) => node.replace(/^[a-z]+:\/\/|\/+$/g, '')).join();
  const location = parseRegistryLocation(scheme + places);
  if (!location.ok) return fields.fail('nodes', location.reason);
  if (location.value.kind !== 'etcd') return undefined;
  const { members, domain: srv } = location.value;
  const [user, password] = [fields.text('username'), fields.text('password')];
  return {
    ...{ kind: 'etcd', members, domain: srv, root },
    tls: tls ? { ca, client: cert === undefined || key === undefined ? undefined : { cert, key } } : undefined,
    login: user ? { user, password: { kind: 'text', text: password ?? '' } } : undefined,
  };
}
