import type { Logger } from 'pino';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { Follower, KeyRange, Registry, RegistryEvent } from './registry.ts';

/** The target of a release by an operator: one service, or everything. */
export type Release = ServiceName | '*';

/** The targets that an event releases. Only a change releases: a key that was there before may be an old release. */
export function releasedBy(event: RegistryEvent): readonly Release[] {
  if (event.kind !== 'changes') return [];
  return event.changes.flatMap((change): readonly Release[] => {
    const name = change.kind === 'put' ? /^releases\/([^/]+)$/.exec(change.entry.key)?.[1] : undefined;
    if (name === undefined || name === '*') return name === undefined ? [] : ['*'];
    const service = parseServiceName(name);
    return service.ok ? [service.value] : [];
  });
}

/** All releases ("0" comes after "/"). */
const releaseKeys: KeyRange = { first: 'releases/', end: 'releases0' };

/** Follows what operators release in pointsman's own tree, for those who follow another tree. */
export function followReleases(registry: Registry, logger: Logger, onRelease: (release: Release) => void): Follower {
  let trouble: string | undefined;
  return registry.follow((event) => {
    if (event.kind === 'connected') trouble = undefined;
    if (event.kind === 'disconnected') {
      // The registry repeats the reason at every attempt.
      const level = trouble === event.reason ? 'debug' : 'warn';
      trouble = event.reason;
      logger[level](
        { event: 'releases-not-followed', reason: event.reason },
        `pointsman release has no effect here: ${registry.location} cannot be followed`,
      );
    }
    for (const release of releasedBy(event)) onRelease(release);
  }, releaseKeys);
}
