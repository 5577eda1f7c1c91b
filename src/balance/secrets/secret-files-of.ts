import type { Catalog } from '../../catalog/catalog.ts';
import { secretFileOf } from '../../model/policy/auth.ts';

/** The files of secrets that policies name, each with a service that names it. */
export function secretFilesOf({ services }: Catalog): ReadonlyMap<string, string> {
  const named = new Map<string, string>();
  for (const { name, policy } of services.values()) {
    const file = secretFileOf(policy.auth);
    if (file !== undefined && !named.has(file)) named.set(file, name);
  }
  return named;
}
