import type { Logger } from 'pino';
import { describeFaults, faultsOfVersion } from '../../haproxy/known-faults.ts';

/** `3.2.26` of `3.2.26-1+deb13u4`. */
export const releaseOf = (version: string): string => /^\d+\.\d+[^\s-]*/.exec(version)?.[0] ?? version;

/** Logs which known faults this version has. */
export function logFaults(haproxy: string | undefined, logger: Logger): void {
  const told = haproxy === undefined ? undefined : describeFaults(haproxy);
  if (haproxy === undefined || told === undefined) return;
  logger.warn(
    { event: 'haproxy-faults', haproxy, faults: faultsOfVersion(haproxy).map(({ fault }) => fault.id) },
    told,
  );
}

/** Logs that another version runs than before, as after an upgrade of its package and a reload, with its known faults. */
export function tellVersionChange(before: string, haproxy: string, logger: Logger): void {
  const text = `HAProxy ${haproxy} runs now instead of ${before}`;
  logger.info({ event: 'haproxy-version-changed', haproxy, before }, text);
  logFaults(haproxy, logger);
}
