import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { RegistryEvent } from './registry.ts';

/** What an operator has let go of: one service, or everything. */
export type Release = ServiceName | '*';

/** The key that says so while it stands: `releases/<service>`, or `releases/*`. */
export const releaseKey = (release: Release): string => `releases/${release}`;

/** What an event of the registry releases. Only a change does: a key that was there before may be an old word. */
export function releasedBy(event: RegistryEvent): readonly Release[] {
  if (event.kind !== 'changes') return [];
  return event.changes.flatMap((change): readonly Release[] => {
    const name = change.kind === 'put' ? /^releases\/([^/]+)$/.exec(change.entry.key)?.[1] : undefined;
    if (name === undefined || name === '*') return name === undefined ? [] : ['*'];
    const service = parseServiceName(name);
    return service.ok ? [service.value] : [];
  });
}
