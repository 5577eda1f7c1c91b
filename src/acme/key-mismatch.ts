import { parseAccount } from '../model/acme/account.ts';
import { accountKey, hostOfCertificate } from '../model/acme/keys.ts';
import { open, type SealingKeys } from '../model/acme/sealing.ts';
import { parseStoredCertificate } from '../model/acme/stored-certificate.ts';
import type { Entry } from '../registry/registry.ts';

/**
 * Why a balancer with these keys must not lead: others have sealed the fleet's account, or all of its ordered certificates, with a key that
 * it does not have. A single certificate keeps nobody from leading. `directory`: the address of the authority's directory.
 */
export function keyMismatchOf(
  entries: readonly Pick<Entry, 'key' | 'value'>[],
  directory: string,
  keys: SealingKeys,
): string | undefined {
  let unopened: string | undefined;
  let opened = false;
  for (const { key, value } of entries) {
    if (key === accountKey) {
      const account = parseAccount(value);
      const isOurs = account.ok && account.value.authority === directory;
      const found = isOurs ? open(account.value.key, key, keys) : undefined;
      if (found?.ok !== false) continue;
      const by = account.ok && account.value.by !== undefined ? `, which ${account.value.by} wrote,` : '';
      return `the private key of ${key}${by} cannot be opened: ${found.reason}; ${toDo}`;
    } else if (hostOfCertificate(key) !== undefined) {
      const stored = parseStoredCertificate(value);
      if (!stored.ok || stored.value.authority === undefined) continue;
      const found = open(stored.value.key, key, keys);
      if (found.ok) opened = true;
      else unopened ??= found.reason;
    }
  }
  return unopened === undefined || opened
    ? undefined
    : `the private key of no ordered certificate can be opened: ${unopened}; ${toDo}`;
}

const toDo =
  'give all balancers one file of --sealing-keys, with both keys if both were in use; if a key is lost, delete the entries under acme/ and certificates/ that it sealed';
