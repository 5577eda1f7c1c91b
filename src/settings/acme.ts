import { Fault } from '../model/fault.ts';
import { accepted, quote, rejected } from '../model/parsed.ts';
import { type HostPattern, parseHostPattern } from '../model/route.ts';
import { defaulted, list, optional, type ValuesOf } from './option.ts';
import { oneOf, pathWord, word } from './words.ts';

/** The authority that certificates are ordered from, and how. */
export type AcmeSettings = {
  /** The address of its directory. */
  readonly directory: string;
  readonly email: string | undefined;
  /** A file with the certificates (PEM) that prove the authority's own HTTPS; those of Node.js if undefined. */
  readonly ca: string | undefined;
  /** External account binding. */
  readonly eab: { readonly kid: string; readonly keyFile: string } | undefined;
  readonly keyType: 'ecdsa' | 'rsa';
  /** `declared`: the hosts of policies with `"https": {"certificate": "auto"}`. `all`: every exact host. */
  readonly hosts: 'declared' | 'all';
  /** Certificates are ordered for these only. Empty: no limit. */
  readonly allow: readonly HostPattern[];
  readonly challenge: 'http-01' | 'dns-01';
  /** Who sets the DNS records of DNS-01. */
  readonly dns:
    | { readonly kind: 'command'; readonly file: string }
    | { readonly kind: 'update'; readonly server: string; readonly keyFile: string | undefined }
    | undefined;
};

export const acmeOptions = {
  acme: optional(
    'URL',
    word((text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (url?.protocol !== 'https:') return rejected(`${quote(text)} is not an address that begins with https://`);
      return url.username === '' && url.password === ''
        ? accepted(text)
        : rejected(`${quote(text)} has a user: use --acme-eab-kid`);
    }),
    'directory of an ACME authority that certificates are ordered from; needs --https and --sealing-keys',
  ),
  acmeEmail: optional(
    'ADDRESS',
    word((text) =>
      /^[^\s@]+@[^\s@]+$/.test(text) ? accepted(text) : rejected(`${quote(text)} is not an e-mail address`),
    ),
    'where the authority sends its warnings',
  ),
  acmeCa: optional(
    'FILE',
    pathWord,
    "certificates (PEM) that prove the authority's own HTTPS (default: the public ones)",
  ),
  acmeEabKid: optional(
    'TEXT',
    word((text) => (/^[\x21-\x7e]{1,500}$/.test(text) ? accepted(text) : rejected(`${quote(text)} is not a key id`))),
    'external account binding: the key id that the authority gave you; needs --acme-eab-key',
  ),
  acmeEabKey: optional('FILE', pathWord, 'file with the key of --acme-eab-kid, in base64url as the authority gave it'),
  acmeKeyType: defaulted('TYPE', oneOf(['ecdsa', 'rsa']), 'ecdsa', 'keys of certificates: ecdsa (P-256) or rsa (2048)'),
  acmeHosts: defaulted(
    'declared|all',
    oneOf(['declared', 'all']),
    'declared',
    'hosts with a certificate: declared (services whose policy has "certificate": "auto") or all exact hosts',
  ),
  acmeAllow: list(
    'HOST',
    word(parseHostPattern),
    'order certificates only for these hosts: shop.example.com, *.example.com (default: no limit)',
  ),
  acmeChallenge: defaulted(
    'TYPE',
    oneOf(['http-01', 'dns-01']),
    'http-01',
    'how the authority proves a host: http-01 (every balancer answers) or dns-01 (wildcards too)',
  ),
  acmeDnsCommand: optional(
    'FILE',
    pathWord,
    'program that sets the records of dns-01: FILE present|cleanup NAME VALUE, as exec of lego',
  ),
  acmeDnsServer: optional(
    'HOST[:PORT]',
    word((text) =>
      /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$/.test(text)
        ? accepted(text)
        : rejected(`${quote(text)} is not HOST or HOST:PORT`),
    ),
    'nameserver that takes the records of dns-01 as updates (RFC 2136); needs nsupdate',
  ),
  acmeDnsKey: optional('FILE', pathWord, 'TSIG key for --acme-dns-server, as tsig-keygen writes it'),
  sealingKeys: optional(
    'FILE',
    pathWord,
    'keys that seal private keys in the registry, one a line (openssl rand -base64 32); the same on all balancers',
  ),
};

type AcmeValues = ValuesOf<typeof acmeOptions>;

const fault = (where: string, text: string, hint: string): Fault => new Fault('settings', text, { where, hint });

/** Joins the options. Throws a Fault when they contradict each other. */
export function acmeSettings(values: AcmeValues & { readonly https: unknown }): AcmeSettings | undefined {
  const { acme: directory, sealingKeys, https } = values;
  if (directory === undefined) {
    const stray = strayFlag(values);
    if (stray === undefined) return undefined;
    throw fault(stray, 'it has no effect without --acme', 'give --acme URL');
  }
  if (https === undefined) throw fault('--acme', 'certificates need HTTPS', 'give --https HOST:PORT');
  if (sealingKeys === undefined) {
    throw fault(
      '--acme',
      'private keys need keys that seal them',
      'give --sealing-keys FILE; make it with: openssl rand -base64 32 > FILE',
    );
  }
  const { acmeEmail: email, acmeCa: ca, acmeKeyType: keyType, acmeHosts: hosts, acmeAllow: allow } = values;
  return {
    ...{ directory, email, ca, keyType, hosts, allow },
    eab: eabSettings(values),
    challenge: values.acmeChallenge,
    dns: dnsSettings(values),
  };
}

/** A flag that only means something with --acme. */
function strayFlag(values: AcmeValues): string | undefined {
  if (values.acmeEmail !== undefined) return '--acme-email';
  if (values.acmeCa !== undefined) return '--acme-ca';
  if (values.acmeEabKid !== undefined) return '--acme-eab-kid';
  if (values.acmeEabKey !== undefined) return '--acme-eab-key';
  if (values.acmeAllow.length > 0) return '--acme-allow';
  if (values.acmeDnsCommand !== undefined) return '--acme-dns-command';
  if (values.acmeDnsServer !== undefined) return '--acme-dns-server';
  return values.acmeDnsKey === undefined ? undefined : '--acme-dns-key';
}

function eabSettings({ acmeEabKid: kid, acmeEabKey: keyFile }: AcmeValues): AcmeSettings['eab'] {
  if (kid === undefined && keyFile === undefined) return undefined;
  if (kid === undefined) throw fault('--acme-eab-key', 'it needs its key id', 'give --acme-eab-kid TEXT');
  if (keyFile === undefined) throw fault('--acme-eab-kid', 'it needs its key', 'give --acme-eab-key FILE');
  return { kid, keyFile };
}

function dnsSettings(values: AcmeValues): AcmeSettings['dns'] {
  const { acmeChallenge, acmeDnsCommand: file, acmeDnsServer: server, acmeDnsKey: keyFile } = values;
  const given = file !== undefined ? '--acme-dns-command' : server !== undefined ? '--acme-dns-server' : undefined;
  if (keyFile !== undefined && server === undefined) {
    throw fault('--acme-dns-key', 'it has no effect without --acme-dns-server', 'give --acme-dns-server HOST');
  }
  if (acmeChallenge === 'http-01') {
    if (given === undefined) return undefined;
    throw fault(given, 'it has no effect with --acme-challenge http-01', 'give --acme-challenge dns-01');
  }
  if (file !== undefined && server !== undefined) {
    throw fault('--acme-dns-server', 'a command sets the records already', 'leave out --acme-dns-command');
  }
  if (file !== undefined) return { kind: 'command', file };
  if (server !== undefined) return { kind: 'update', server, keyFile };
  throw fault(
    '--acme-challenge',
    'nobody sets the DNS records of dns-01',
    'give --acme-dns-command FILE or --acme-dns-server HOST',
  );
}
