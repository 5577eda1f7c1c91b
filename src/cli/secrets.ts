import { commands } from '../settings/commands.ts';
import { variableName } from '../settings/option.ts';
import type { Invocation } from './invocation.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that hold a secret of any command. */
export const secretVariables: ReadonlySet<string> = new Set(
  commands.flatMap(({ options }) =>
    Object.entries(options).flatMap(([key, { kind }]) => (kind === 'secret' ? [variableName(key)] : [])),
  ),
);

/** The environment for those who have no business with our password, and would show it in their own. */
export function withoutSecrets(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !secretVariables.has(name)));
}

/** The variables that are not pointsman's own: programs that it starts get neither its settings and password nor its service manager. */
export function withoutOurs(env: Invocation['env']): Invocation['env'] {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith('POINTSMAN_') && name !== 'NOTIFY_SOCKET'),
  );
}
