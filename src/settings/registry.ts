import { type Address, parseAddress } from '../model/address.ts';
import { Fault } from '../model/fault.ts';
import { accepted, type Parsed, quote, refused } from '../model/parsed.ts';
import { defaulted, optional, secret, type ValuesOf } from './option.ts';
import { pathWord, word } from './words.ts';

/** Where the registry is: members of an etcd cluster, or a folder on this machine. */
export type RegistryLocation =
  | { readonly kind: 'etcd'; readonly members: readonly Address[]; readonly tls: boolean }
  | { readonly kind: 'directory'; readonly path: string };

/** A password, or the file it is read from at each connect, so that it can be changed while pointsman runs. */
export type PasswordSource =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'file'; readonly path: string };

/** How the registry is reached. The TLS files are paths: they are read again at each connect. */
export type RegistrySettings =
  | {
      readonly kind: 'etcd';
      readonly members: readonly Address[];
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
    }
  | { readonly kind: 'directory'; readonly path: string };

/** The key that all stands under; undefined for a folder. */
export const rootOf = (settings: RegistrySettings): string | undefined =>
  settings.kind === 'etcd' ? settings.root : undefined;

const etcdPort = 2379;

/** Reads `etcd://host[:port][,host[:port]…]`, the same with `etcds://` for TLS, or `dir:PATH`. */
function parseRegistryLocation(text: string): Parsed<RegistryLocation> {
  if (text.startsWith('dir:')) {
    const path = text.slice('dir:'.length);
    return path === '' || path.includes('\0')
      ? refused('a path is missing after dir:')
      : accepted({ kind: 'directory', path });
  }
  // First, because the text must then not be repeated in a message.
  if (text.includes('@')) return refused('a login does not belong here: use --etcd-user and POINTSMAN_ETCD_PASSWORD');
  const match = /^(etcds?):\/\/([^/]*)(\/?.*)$/.exec(text);
  if (match === null) return refused(`${quote(text)} is none of etcd://HOST:PORT, etcds://HOST:PORT, dir:PATH`);
  const [, scheme = '', list = '', path = ''] = match;
  if (path !== '' && path !== '/') return refused(`${quote(path)} after the address does not belong here: use --root`);
  const members: Address[] = [];
  for (const member of list.split(',')) {
    const address = parseAddress(/:[0-9]+$/.test(member) ? member : `${member}:${etcdPort}`);
    if (!address.ok) return address;
    members.push(address.value);
  }
  return accepted({ kind: 'etcd', members, tls: scheme === 'etcds' });
}

/** Reads the key that everything stands under: `/pointsman/`; the slash at the end may be left out. */
function parseRoot(text: string): Parsed<string> {
  return /^(\/[A-Za-z0-9._-]{1,63}){1,8}\/?$/.test(text)
    ? accepted(text.endsWith('/') ? text : `${text}/`)
    : refused(`${quote(text)} is not a root: /NAME/ with A-Z a-z 0-9 . _ -, at most 8 levels`);
}

/** The options of every command that reads or writes the registry. */
export const registryOptions = {
  registry: defaulted({
    placeholder: 'LOCATION',
    description: 'etcd://HOST:PORT[,HOST:PORT…], etcds://… for TLS, or dir:PATH for a folder on this machine',
    word: word(parseRegistryLocation),
    fallback: `etcd://127.0.0.1:${etcdPort}`,
  }),
  root: defaulted({
    placeholder: 'KEY',
    description: 'the key in etcd that everything stands under',
    word: word(parseRoot),
    fallback: '/pointsman/',
  }),
  etcdUser: optional({
    placeholder: 'NAME',
    description:
      'the user to log in to etcd as; the password comes from POINTSMAN_ETCD_PASSWORD or --etcd-password-file',
    word: word((text) =>
      /^[\x21-\x7e]{1,128}$/.test(text) ? accepted(text) : refused(`${quote(text)} is not a user name`),
    ),
  }),
  etcdPassword: secret({ placeholder: 'PASSWORD', description: "the etcd user's password; never a flag" }),
  etcdPasswordFile: optional({
    placeholder: 'FILE',
    description: "a file with the etcd user's password, read at each connect",
    word: pathWord,
  }),
  etcdCa: optional({ placeholder: 'FILE', description: 'PEM file of the CA that etcd is trusted by', word: pathWord }),
  etcdCert: optional({
    placeholder: 'FILE',
    description: 'PEM file of the client certificate for etcd',
    word: pathWord,
  }),
  etcdKey: optional({ placeholder: 'FILE', description: "PEM file of the client certificate's key", word: pathWord }),
};

/** The option of each command that can follow a tree that was not made for pointsman. */
export const layoutOptions = {
  layout: optional({
    placeholder: 'LAYOUT',
    description:
      'follow a tree made for others, with its own prefix: plain, registrator, skydns, traefik, grpc, or a YAML file',
    word: pathWord,
  }),
};

/** Joins the registry's options, or says which of them do not go together. */
export function registrySettings(values: ValuesOf<typeof registryOptions>): RegistrySettings | Fault {
  const location = values.registry;
  const tlsFlag =
    values.etcdCa !== undefined ? '--etcd-ca' : values.etcdCert !== undefined ? '--etcd-cert' : '--etcd-key';
  const hasTlsFile = values.etcdCa !== undefined || values.etcdCert !== undefined || values.etcdKey !== undefined;
  if (location.kind === 'directory') {
    const stray = hasTlsFile ? tlsFlag : values.etcdUser !== undefined ? '--etcd-user' : undefined;
    if (stray === undefined) return { kind: 'directory', path: location.path };
    return new Fault('settings', 'it is for etcd, and the registry is a folder', { where: stray });
  }
  if (hasTlsFile && !location.tls) {
    return new Fault('settings', 'it takes a registry with TLS', {
      where: tlsFlag,
      hint: 'write --registry etcds://…',
    });
  }
  const { etcdCert: cert, etcdKey: key } = values;
  if ((cert === undefined) !== (key === undefined)) {
    return new Fault('settings', 'the certificate and its key go together', {
      where: cert === undefined ? '--etcd-cert' : '--etcd-key',
      hint: 'give both, or none',
    });
  }
  const login = loginOf(values);
  if (login instanceof Fault) return login;
  const client = cert === undefined || key === undefined ? undefined : { cert, key };
  const tls = location.tls ? { ca: values.etcdCa, client } : undefined;
  return { kind: 'etcd', members: location.members, root: values.root, tls, login };
}

function loginOf(
  values: ValuesOf<typeof registryOptions>,
): { user: string; password: PasswordSource } | undefined | Fault {
  const { etcdUser: user, etcdPassword: text, etcdPasswordFile: path } = values;
  if (user === undefined) {
    if (path === undefined) return undefined;
    return new Fault('settings', 'a password without a user', {
      where: '--etcd-password-file',
      hint: 'give --etcd-user too',
    });
  }
  if (path !== undefined) return { user, password: { kind: 'file', path } };
  if (text !== undefined) return { user, password: { kind: 'text', text } };
  return new Fault('settings', 'a user without a password', {
    where: '--etcd-user',
    hint: 'give POINTSMAN_ETCD_PASSWORD or --etcd-password-file',
  });
}
