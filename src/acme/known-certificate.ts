import { type KeyObject, X509Certificate } from 'node:crypto';
import { certificateKey } from '../model/acme/keys.ts';
import { open, type SealingKeys } from '../model/acme/sealing.ts';
import { parseStoredCertificate } from '../model/acme/stored-certificate.ts';
import type { KnownCertificate } from './due.ts';
import type { Seen } from './leader-entries.ts';
import type { Validity } from './renewal-time.ts';

/** When the certificate (the first of a PEM text) is valid. Throws when it is none. */
export function validityOf(pem: string): Validity {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { from: Date.parse(validFrom), until: Date.parse(validTo) };
}

/** Why this certificate of an authority is of no use for the host; undefined: it is. */
export function flawOf(pem: string, host: string, key: KeyObject, now: number): string | undefined {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return 'it is no certificate in PEM';
  }
  if (!certificate.checkPrivateKey(key)) return 'it has another key than was asked for';
  const names = (certificate.subjectAltName ?? '').split(', ');
  if (!names.includes(`DNS:${host}`)) return `it is not for ${host}`;
  return Date.parse(certificate.validTo) <= now ? `it ended at ${certificate.validTo}` : undefined;
}

/** Reads entries of `certificates/`, each value once. */
export class KnownCertificates {
  #known = new Map<
    string,
    { readonly value: string; readonly keys: SealingKeys; readonly read: KnownCertificate | undefined }
  >();

  /** Undefined: the entry cannot be read, so the host has no certificate. */
  get(host: string, { value }: Pick<Seen, 'value'>, keys: SealingKeys): KnownCertificate | undefined {
    const known = this.#known.get(host);
    if (known?.value === value && known.keys === keys) return known.read;
    const read = readCertificate(host, value, keys);
    this.#known.set(host, { value, keys, read });
    return read;
  }
}

function readCertificate(host: string, value: string, keys: SealingKeys): KnownCertificate | undefined {
  const parsed = parseStoredCertificate(value);
  if (!parsed.ok) return undefined;
  try {
    const validity = validityOf(parsed.value.certificate);
    return { stored: parsed.value, validity, canOpen: open(parsed.value.key, certificateKey(host), keys).ok };
  } catch {
    return undefined;
  }
}
