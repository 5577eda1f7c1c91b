import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import type { Rendered } from '../../render/rendered.ts';

/** The number of refused commands that are kept: one is enough for a reload. */
const mostRefused = 20;

type Reasons = ReadonlyMap<string, ReloadReason>;

/** The reasons that are still valid: their services and servers are desired. Of the refused commands it keeps the last ones. */
export function standingReasons(reasons: Reasons, { backends }: Pick<Rendered, 'backends'>): Map<string, ReloadReason> {
  const refused = [...reasons].filter(([, { kind }]) => kind === 'refused').map(([clause]) => clause);
  const forgotten = new Set(refused.slice(0, Math.max(0, refused.length - mostRefused)));
  const stands = (clause: string, reason: ReloadReason): boolean => {
    switch (reason.kind) {
      case 'new-backend':
      case 'backend':
        return backends.has(reason.backend);
      case 'server-keywords':
      case 'server-line':
      case 'former-address':
        return backends.get(reason.backend)?.servers.has(reason.server) ?? false;
      case 'refused':
        return !forgotten.has(clause);
      case 'many-routes':
      case 'retired':
        return reason.services.some((name) => backends.has(name));
      case 'start':
      case 'frame':
      case 'file':
      case 'restore':
      case 'no-reuse':
      case 'drift':
        return true;
    }
  };
  return new Map([...reasons].filter(([clause, reason]) => stands(clause, reason)));
}
