import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, errorCode } from '../../model/fault.ts';
import { parseFileName } from '../../model/file-name.ts';
import { type JwksAddress, looksLikeAddress, parseJwksAddress } from '../../model/secret/jwks-address.ts';
import { type JwtKey, looksLikeKeys, parseKeys } from '../../model/secret/keys.ts';
import { parseUsers, type Users } from '../../model/secret/users.ts';
import type { FollowedKeys } from './jwks-following.ts';

/** The content of a file of secrets. */
type Secret =
  | { readonly kind: 'users'; readonly users: Users }
  | { readonly kind: 'keys'; readonly keys: readonly JwtKey[] }
  | { readonly kind: 'address'; readonly address: JwksAddress };

export type Secrets = {
  /** By the name of the file. A file that became unusable keeps its last good content. */
  readonly found: ReadonlyMap<string, Secret>;
  /** By the name of the file, why it cannot be used as it is. */
  readonly refused: ReadonlyMap<string, string>;
};

export const noSecrets: Secrets = { found: new Map(), refused: new Map() };

const mostFiles = 1000;

/**
 * Reads the folder. A folder that does not exist has no files. A deleted file is gone at once, because its users must not get in
 * any more; a file that cannot be read or parsed keeps what it had in `before`.
 */
export async function readSecrets(folder: string, before: Secrets): Promise<Secrets> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  const found = new Map<string, Secret>();
  const refused = new Map<string, string>();
  for (const name of names
    .filter((one) => parseFileName(one).ok)
    .sort()
    .slice(0, mostFiles)) {
    const parsed = await readSecret(join(folder, name));
    if (parsed === undefined) continue;
    if (parsed.ok) {
      found.set(name, parsed.value);
      continue;
    }
    refused.set(name, parsed.reason);
    const last = before.found.get(name);
    if (last !== undefined) found.set(name, last);
  }
  return { found, refused };
}

async function readSecret(file: string) {
  try {
    const text = await readFile(file, 'utf8');
    // A file of authorities for the address of keys.
    if (text.includes('-----BEGIN CERTIFICATE-----')) return undefined;
    if (looksLikeAddress(text)) {
      const address = parseJwksAddress(text);
      return address.ok ? ({ ok: true, value: { kind: 'address', address: address.value } } as const) : address;
    }
    if (looksLikeKeys(text)) {
      const keys = parseKeys(text);
      return keys.ok ? ({ ok: true, value: { kind: 'keys', keys: keys.value } } as const) : keys;
    }
    const users = parseUsers(text);
    return users.ok ? ({ ok: true, value: { kind: 'users', users: users.value } } as const) : users;
  } catch (error) {
    // A folder, such as the one that Kubernetes links its files to, or a file that was deleted meanwhile.
    if (errorCode(error) === 'EISDIR' || errorCode(error) === 'ENOENT') return undefined;
    return { ok: false, reason: `it cannot be read: ${describe(error)}` } as const;
  }
}

/** The public keys of all files, by fingerprint. */
export function publicKeys({ found }: Secrets): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  for (const secret of found.values()) {
    if (secret.kind !== 'keys') continue;
    for (const key of secret.keys) if (key.kind === 'public') keys.set(key.fingerprint, key.pem);
  }
  return keys;
}

/**
 * The entries of the map that HAProxy verifies passwords and tokens with. `files` has the files of public keys by fingerprint.
 * `users:FILE/` and `keys:FILE/` say that the file is there. Users and keys of different files, and keys of different algorithms,
 * never share an entry.
 */
export function mapEntries({ found }: Secrets, files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const [file, secret] of found) {
    if (secret.kind === 'address') continue;
    entries.set(`${secret.kind}:${file}/`, 'there');
    if (secret.kind === 'users') {
      for (const [name, { salt, digest }] of secret.users) entries.set(`users:${file}/${name}`, `${salt}.${digest}`);
      continue;
    }
    for (const [key, value] of keyEntries(file, secret.keys, files)) entries.set(key, value);
  }
  return entries;
}

function* keyEntries(
  file: string,
  keys: readonly JwtKey[],
  files: ReadonlyMap<string, string>,
): Generator<readonly [string, string]> {
  const count = new Map<string, number>();
  for (const { algorithms } of keys) for (const one of algorithms) count.set(one, (count.get(one) ?? 0) + 1);
  for (const key of keys) {
    const value = key.kind === 'shared' ? key.secret : files.get(key.fingerprint);
    if (value === undefined) continue;
    for (const algorithm of key.algorithms) {
      if (key.id !== undefined) yield [`${algorithm}:${file}/${key.id}`, value];
      // A token without the id of a key can be verified only if there is no choice.
      if (count.get(algorithm) === 1) yield [`${algorithm}:${file}/`, value];
    }
  }
}

/** The addresses of keys, by the name of their file. */
export function addressesIn({ found }: Secrets): ReadonlyMap<string, JwksAddress> {
  const addresses = new Map<string, JwksAddress>();
  for (const [name, secret] of found) if (secret.kind === 'address') addresses.set(name, secret.address);
  return addresses;
}

/** The files with the keys of each address instead of the address, and why the last attempt to fetch them failed. */
export function withFetchedKeys(files: Secrets, keysOf: (name: string) => FollowedKeys | undefined): Secrets {
  const found = new Map<string, Secret>();
  const refused = new Map(files.refused);
  for (const [name, secret] of files.found) {
    if (secret.kind !== 'address') {
      found.set(name, secret);
      continue;
    }
    const { keys, failure } = keysOf(name) ?? { keys: undefined, failure: undefined };
    if (keys !== undefined) found.set(name, { kind: 'keys', keys });
    if (failure !== undefined) refused.set(name, `the keys of ${secret.address.url} cannot be fetched: ${failure}`);
    else if (keys === undefined) refused.set(name, `the keys of ${secret.address.url} are not fetched yet`);
  }
  return { found, refused };
}
