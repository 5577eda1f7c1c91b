import { areaOfKey, serviceOfKey } from '../model/key.ts';
import { parseServiceName } from '../model/name.ts';
import { type FormattedEntry, formatDeclarations } from './format-declarations.ts';

/** The files of an export, by their paths in its folder: one for each service, one for all claims of `*`, and one for keys. */
export function filesOfExport(entries: readonly FormattedEntry[]): ReadonlyMap<string, string> {
  const byFile = new Map<string, FormattedEntry[]>();
  for (const entry of entries) {
    const file = fileOf(entry);
    const some = byFile.get(file);
    if (some === undefined) byFile.set(file, [entry]);
    else some.push(entry);
  }
  const sorted = [...byFile].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(sorted.map(([file, some]) => [file, formatDeclarations(some)]));
}

function fileOf({ key }: FormattedEntry): string {
  if (areaOfKey(key) === 'keys') return 'keys.yaml';
  const service = serviceOfKey(key) ?? '';
  if (service === '*') return 'claims.yaml';
  // Another name may not be safe for a file.
  return parseServiceName(service).ok ? `services/${service}.yaml` : 'malformed.yaml';
}
