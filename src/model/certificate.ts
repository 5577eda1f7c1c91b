import { createPrivateKey, X509Certificate } from 'node:crypto';
import { accepted, type Parsed, rejected } from './parsed.ts';

/** A certificate with its key and chain, as HAProxy loads it from one file. */
export type Certificate = {
  /** All PEM blocks, the certificate first, without a blank line or a comment. */
  readonly pem: string;
  /** SHA-1 in hexadecimal: HAProxy names the certificate that it serves by it. */
  readonly fingerprint: string;
  /** In hexadecimal. */
  readonly serial: string;
  /** How many certificates follow it in the file. */
  readonly chain: number;
  /** The names that it is for: `shop.example.com`, `*.example.com`. */
  readonly names: readonly string[];
  /** From when on and until when it is valid, in ms since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
};

const block = /-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([A-Za-z0-9+/=\r\n]{1,65536})-----END \1-----/g;

// A list of tens of thousands of certificates is some MB.
const revocationBlock = /-----BEGIN X509 CRL-----\r?\n([A-Za-z0-9+/=\r\n]{1,16777216})-----END X509 CRL-----/g;

/** Whom somebody trusts: the certificates of authorities. */
export type Authorities = Pick<Certificate, 'pem'> & { readonly fingerprints: ReadonlySet<string> };

/** Reads the PEM text of certificates of authorities, with whatever comments between them. */
export function parseAuthorities(text: string): Parsed<Authorities> {
  const found = [...text.matchAll(block)].filter(([, label]) => label === 'CERTIFICATE');
  if (found.length === 0) return rejected('it holds no certificate (PEM)');
  const pems = found.map(([, , body = '']) => blockOf('CERTIFICATE', body));
  try {
    const fingerprints = pems.map((pem) => new X509Certificate(pem).fingerprint.replaceAll(':', ''));
    return accepted({ pem: pems.join(''), fingerprints: new Set(fingerprints) });
  } catch (error) {
    return rejected(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Reads the PEM text of lists of revoked certificates. HAProxy itself reads what they say. */
export function parseRevocations(text: string): Parsed<Pick<Certificate, 'pem'>> {
  const found = [...text.matchAll(revocationBlock)];
  if (found.length === 0) return rejected('it holds no list of revoked certificates (PEM, X509 CRL)');
  return accepted({ pem: found.map(([, body = '']) => blockOf('X509 CRL', body)).join('') });
}

/** Without a blank line: HAProxy would take it for the end. */
function blockOf(label: string, body: string): string {
  const lines = body.split(/\r?\n/).filter((line) => line !== '');
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

const encrypted =
  'its private key is encrypted: store it without a password (openssl pkey), because pointsman cannot ask for one';

/** Reads the PEM text of a certificate, its chain and its key, in any order of certificate and key. */
export function parseCertificate(text: string): Parsed<Certificate> {
  // The old form says so in a header above the key.
  if (/^Proc-Type:.*ENCRYPTED/m.test(text)) return rejected(encrypted);
  const chain: string[] = [];
  const keys: string[] = [];
  for (const [, label = '', body = ''] of text.matchAll(block)) {
    const pem = blockOf(label, body);
    if (label === 'CERTIFICATE') chain.push(pem);
    else if (label === 'ENCRYPTED PRIVATE KEY') return rejected(encrypted);
    else if (label.endsWith('PRIVATE KEY')) keys.push(pem);
  }
  const [first] = chain;
  const [key] = keys;
  if (first === undefined) return rejected('it holds no certificate (PEM)');
  if (key === undefined) return rejected('it holds no private key (PEM)');
  if (keys.length > 1) return rejected(`it holds ${keys.length} private keys instead of one`);
  try {
    const certificate = new X509Certificate(first);
    const ownKey = createPrivateKey(key);
    if (!certificate.checkPrivateKey(ownKey)) {
      const own = chain.findIndex((pem) => new X509Certificate(pem).checkPrivateKey(ownKey));
      return rejected(
        own === -1
          ? 'its key belongs to another certificate'
          : `the certificate of its key is number ${own + 1} in the file: put it first, and the certificates that signed it after it`,
      );
    }
    const names = namesOf(certificate);
    return accepted({
      pem: chain.join('') + key,
      fingerprint: certificate.fingerprint.replaceAll(':', ''),
      serial: certificate.serialNumber,
      chain: chain.length - 1,
      names,
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
    });
  } catch (error) {
    return rejected(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether a certificate with these names is for the host: `*.example.com` is for `shop.example.com`, and for itself. */
export function isFor(names: readonly string[], host: string): boolean {
  const dot = host.indexOf('.');
  return names.some((name) => name === host || (name.startsWith('*.') && dot > 0 && name.slice(1) === host.slice(dot)));
}

const namesOf = ({ subjectAltName = '' }: X509Certificate): readonly string[] =>
  subjectAltName.split(', ').flatMap((name) => /^DNS:(.+)$/.exec(name)?.[1] ?? []);

/** The names of the first certificate in a PEM text; none if it cannot be read. */
export function certificateNames(text: string): readonly string[] {
  try {
    return namesOf(new X509Certificate(text));
  } catch {
    return [];
  }
}
