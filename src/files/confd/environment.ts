import { noRevision } from '../../model/revision.ts';
import type { Entry, Registry } from '../../registry/registry.ts';
import type { KeysWithin } from '../key-fold.ts';

/** Variables of the environment as keys, as confd's backend `env` has them: `NGINX_DOMAIN` is `/nginx/domain`. */
export function openEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Pick<Registry, 'follow' | 'close'> {
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(environment)) {
    const key = name.toLowerCase().replaceAll('_', '/');
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

/** A path is the beginning of names, as it is for confd: `/nginx` also has `/nginxplus/port`, and `/My_App` is `/my/app`. */
export const environmentKeys: KeysWithin = (path) => {
  const beginning = path.toLowerCase().replaceAll('_', '/');
  return (key) => (`/${key}`.startsWith(beginning) ? `/${key}` : undefined);
};
