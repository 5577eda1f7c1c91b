import { noRevision } from '../../model/revision.ts';
import type { Entry, Registry } from '../../registry/registry.ts';
import type { KeysWithin } from '../key-fold.ts';

/** Variables of the environment, by their names, which `environmentKeys` makes keys of. */
export function openEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Pick<Registry, 'follow' | 'close'> {
  const entries = new Map<string, Entry>();
  // Of two that make one key, the one in capitals comes last and counts. confd takes either.
  for (const key of Object.keys(environment).sort().reverse()) {
    const value = environment[key];
    if (value !== undefined) entries.set(key, { key, value, revision: noRevision, leased: false });
  }
  return {
    follow: (onEvent) => {
      let closed = false;
      queueMicrotask(() => {
        if (closed) return;
        onEvent({ kind: 'connected', member: 'the environment' });
        const history = { kind: 'first' } as const;
        onEvent({ kind: 'snapshot', revision: noRevision, cluster: 'environment', history, entries });
      });
      return {
        close: async () => {
          closed = true;
        },
      };
    },
    close: async () => undefined,
  };
}

/**
 * Keys as confd's backend `env` has them: `NGINX_DOMAIN` is `/nginx/domain`. A path in capitals is the beginning of names, as it is for
 * confd: `/nginx` also has `NGINXPLUS_PORT`, and `/My_App` has `MY_APP`, but not `my_app`.
 */
export const environmentKeys: KeysWithin = (path) => {
  const beginning = path.replace(/^\//, '').replaceAll('/', '_').toUpperCase();
  return (name) => (name.startsWith(beginning) ? `/${name.toLowerCase().replaceAll('_', '/')}` : undefined);
};
