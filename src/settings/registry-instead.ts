import { parseAddress } from '../model/address.ts';

const schemes: Readonly<Record<string, string>> = {
  '': 'etcd',
  etcd: 'etcd',
  etcd3: 'etcd',
  http: 'etcd',
  grpc: 'etcd',
  tcp: 'etcd',
  etcds: 'etcds',
  https: 'etcds',
  grpcs: 'etcds',
  ssl: 'etcds',
  tls: 'etcds',
  srv: 'etcd+srv',
  'dns+srv': 'etcd+srv',
  'etcd+srv': 'etcd+srv',
  'etcd+srvs': 'etcds+srv',
  'etcds+srv': 'etcds+srv',
};

/**
 * The location to write instead of one in the form of other programs: `http://10.0.0.1:2379`, several with commas between, with
 * a path, or without a scheme. Undefined when the intention is unclear.
 */
export function registryInstead(text: string): string | undefined {
  const folder = /^file:(?:\/\/(?:localhost)?)?(\/[^?#]*)$/i.exec(text)?.[1] ?? /^(\/.*)$/.exec(text)?.[1];
  if (folder !== undefined) return `dir:${folder}`;
  const parts = text.split(',').map((part) => /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]*)(\/[^?#]*)?/i.exec(part.trim()));
  const own = parts.map((part) => part?.[1]?.toLowerCase());
  const scheme = schemes[own[0] ?? ''];
  const hosts = parts.map((part) => part?.[2] ?? '');
  // A mixture of TLS and none is nothing that could be written.
  if (scheme === undefined || own.some((one) => one !== undefined && schemes[one] !== scheme)) return undefined;
  if (!hosts.every((host) => parseAddress(/:[0-9]+$/.test(host) ? host : `${host}:1`).ok)) return undefined;
  // "redis" alone could be anything.
  if (own[0] === undefined && !/:[0-9]+$/.test(hosts[0] ?? '')) return undefined;
  const paths = [...new Set(parts.map((part) => (part?.[3] ?? '').replace(/\/+$/, '')).filter((path) => path !== ''))];
  const [path, ...more] = paths;
  if (more.length > 0) return undefined;
  return `${scheme}://${hosts.join(',')}${path === undefined ? '' : `, and --root ${path}/`}`;
}
