import type { Invocation } from './invocation.ts';

/** The variables that are not pointsman's own: what runs below it has no business with its settings and its password. */
export function withoutOurs(env: Invocation['env']): Invocation['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('POINTSMAN_')));
}
