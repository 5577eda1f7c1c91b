import { type Address, parseAddress, parseHost } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { type LogSettings, type logOptions, logSettings } from './log.ts';
import { defaulted, optional, secret, type ValuesOf } from './option.ts';
import { pathWord, word } from './words.ts';

type EtcdPlace = {
  /** A name with several addresses means several members. Empty with a `domain`. */
  readonly members: readonly Address[];
  /** The domain, or the record, whose SRV records name the members. */
  readonly domain: string | undefined;
};

/** Where the registry is: members of an etcd cluster, or a folder on this machine. */
export type RegistryLocation =
  | (EtcdPlace & { readonly kind: 'etcd'; readonly tls: boolean })
  | { readonly kind: 'directory'; readonly path: string };

/** A password, or the file it is read from at each connect, so that it can be changed while pointsman runs. */
export type PasswordSource =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'file'; readonly path: string };

/** How the registry is reached. The TLS files are paths: they are read again at each connect. */
export type RegistrySettings =
  | (EtcdPlace & {
      readonly kind: 'etcd';
      readonly root: string;
      /** Undefined: plain TCP. */
      readonly tls:
        | {
            /** Undefined: the CAs that Node.js knows. */
            readonly ca: string | undefined;
            readonly client: { readonly cert: string; readonly key: string } | undefined;
          }
        | undefined;
      readonly login: { readonly user: string; readonly password: PasswordSource } | undefined;
    })
  | { readonly kind: 'directory'; readonly path: string };

/** The prefix of all keys; undefined for a folder. */
export const rootOf = (settings: RegistrySettings): string | undefined =>
  settings.kind === 'etcd' ? settings.root : undefined;

const etcdPort = 2379;

/**
 * Reads `etcd://host[:port][,host[:port]…]`, the same with `etcds://` for TLS, `etcd+srv://domain` or `etcds+srv://domain` (also with a
 * whole SRV record as the domain), or `dir:PATH`.
 */
export function parseRegistryLocation(text: string): Parsed<RegistryLocation> {
  if (text.startsWith('dir:')) {
    const path = text.slice('dir:'.length);
    return path === '' || path.includes('\0')
      ? rejected('a path is missing after dir:')
      : accepted({ kind: 'directory', path });
  }
  // First, because the text must then not be repeated in a message.
  if (text.includes('@'))
    return rejected('an address cannot contain a login: use --etcd-user and POINTSMAN_ETCD_PASSWORD');
  const match = /^(etcds?)(\+srv)?:\/\/([^/?#]*)\/?$/.exec(text);
  const [, scheme = '', srv, list = ''] = match ?? [];
  if (match === null || list === '' || list.includes(' ')) {
    const instead = registryInstead(text);
    if (instead !== undefined) return rejected(`${quote(text)} is not a registry: write ${instead}`);
    return rejected(`${quote(text)} is not one of etcd://HOST:PORT, etcds://HOST:PORT, etcd+srv://DOMAIN, dir:PATH`);
  }
  const tls = scheme === 'etcds';
  if (srv !== undefined) {
    // A whole record, such as `_etcdv3._tcp.example.org`, is taken as it is.
    const [, record = ''] = /^(_[a-z0-9][a-z0-9-]*\._tcp\.)./i.exec(list) ?? [];
    const domain = parseHost(list.slice(record.length).replace(/\.$/, ''));
    if (domain.ok && domain.value.family === 'name')
      return accepted({ kind: 'etcd', members: [], domain: record + domain.value.host, tls });
    return rejected(
      `${quote(list)} is not a domain: its SRV records name hosts and ports, as in ${scheme}+srv://example.org`,
    );
  }
  const members: Address[] = [];
  for (const [at, member] of list.split(',').entries()) {
    if (member === '') {
      return rejected(
        `an address is missing ${at === 0 ? 'before the first comma' : 'after a comma'} in ${quote(text)}`,
      );
    }
    const address = parseAddress(/:[0-9]+$/.test(member) ? member : `${member}:${etcdPort}`);
    if (!address.ok) return address;
    members.push(address.value);
  }
  return accepted({ kind: 'etcd', members, domain: undefined, tls });
}

/** Reads the prefix of all keys: `/pointsman/`; the slash at the end may be left out. */
function parseRoot(text: string): Parsed<string> {
  return /^(\/[A-Za-z0-9._-]{1,63}){1,8}\/?$/.test(text)
    ? accepted(text.endsWith('/') ? text : `${text}/`)
    : rejected(`${quote(text)} is not a root: /NAME/ with A-Z a-z 0-9 . _ -, at most 8 levels`);
}

/** The options of every command that reads or writes the registry. */
export const registryOptions = {
  registry: defaulted(
    'LOCATION',
    word(parseRegistryLocation),
    `etcd://127.0.0.1:${etcdPort}`,
    'etcd://HOST:PORT[,HOST:PORT…] or etcd+srv://DOMAIN (etcds… for TLS), or dir:PATH for a folder',
  ),
  root: defaulted('KEY', word(parseRoot), '/pointsman/', 'prefix of all keys in etcd'),
  etcdUser: optional(
    'NAME',
    word((text) =>
      /^[\x21-\x7e]{1,128}$/.test(text) ? accepted(text) : rejected(`${quote(text)} is not a user name`),
    ),
    'user of etcd; give its password in POINTSMAN_ETCD_PASSWORD or --etcd-password-file',
  ),
  etcdPassword: secret('PASSWORD', 'password of the etcd user; there is no flag for it'),
  etcdPasswordFile: optional('FILE', pathWord, 'file with the password of the etcd user, read at each connect'),
  etcdCa: optional('FILE', pathWord, "PEM file of the CA that signed etcd's certificate"),
  etcdCert: optional('FILE', pathWord, 'PEM file of the client certificate for etcd'),
  etcdKey: optional('FILE', pathWord, 'PEM file of the key of the client certificate'),
};

/** The settings of each command that speaks with the registry. */
export const registryAndLog = (
  values: ValuesOf<typeof registryOptions> & ValuesOf<typeof logOptions>,
): { readonly registry: RegistrySettings; readonly log: LogSettings } => ({
  registry: registrySettings(values),
  log: logSettings(values),
});

/** The option of each command that can follow a tree that was not made for pointsman. */
export const layoutOptions = {
  layout: optional(
    'LAYOUT',
    pathWord,
    'follow the keys of another program: plain, registrator, skydns, traefik, grpc, or a YAML file',
  ),
};

/** Joins the registry's options. Throws a Fault when they contradict each other. */
export function registrySettings(values: ValuesOf<typeof registryOptions>): RegistrySettings {
  const location = values.registry;
  const tlsFlag =
    values.etcdCa !== undefined ? '--etcd-ca' : values.etcdCert !== undefined ? '--etcd-cert' : '--etcd-key';
  const hasTlsFile = values.etcdCa !== undefined || values.etcdCert !== undefined || values.etcdKey !== undefined;
  if (location.kind === 'directory') {
    const stray = hasTlsFile ? tlsFlag : values.etcdUser !== undefined ? '--etcd-user' : undefined;
    if (stray === undefined) return { kind: 'directory', path: location.path };
    throw new Fault('settings', 'it has no effect, because the registry is a folder and not etcd', { where: stray });
  }
  if (hasTlsFile && !location.tls) {
    throw new Fault('settings', 'it needs a registry with TLS', {
      where: tlsFlag,
      hint: 'write --registry etcds://…',
    });
  }
  const { etcdCert: cert, etcdKey: key } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Fault('settings', 'it is missing: a client certificate and its key must be given together', {
      where: cert === undefined ? '--etcd-cert' : '--etcd-key',
      hint: 'give both, or none',
    });
  }
  const client = cert === undefined || key === undefined ? undefined : { cert, key };
  const tls = location.tls ? { ca: values.etcdCa, client } : undefined;
  const { members, domain } = location;
  return { kind: 'etcd', members, domain, root: values.root, tls, login: loginOf(values) };
}

function loginOf(values: ValuesOf<typeof registryOptions>): { user: string; password: PasswordSource } | undefined {
  const { etcdUser: user, etcdPassword: text, etcdPasswordFile: path } = values;
  if (user === undefined) {
    if (path === undefined) return undefined;
    throw new Fault('settings', 'a password is given without a user', {
      where: '--etcd-password-file',
      hint: 'give --etcd-user too',
    });
  }
  if (path !== undefined) return { user, password: { kind: 'file', path } };
  if (text !== undefined) return { user, password: { kind: 'text', text } };
  throw new Fault('settings', 'a user is given without a password', {
    where: '--etcd-user',
    hint: 'give POINTSMAN_ETCD_PASSWORD or --etcd-password-file',
  });
}

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
function registryInstead(text: string): string | undefined {
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
