/**
 * The environment that bin/pointsman was started with. A shell drops names such as `a.b`, and changes variables that it uses itself, so
 * bin/pointsman passes on what the kernel gave it: in base64, in these variables, which count from 1.
 */
const passedName = 'pointsman_sh_environ_';

type Environment = Readonly<Record<string, string | undefined>>;

/** The bytes that bin/pointsman was given: `NAME=value`, each with a zero byte at its end. Undefined when it passed none. */
export function passedEnvironment(env: Environment): Buffer | undefined {
  const parts: string[] = [];
  for (let part = env[`${passedName}1`]; part !== undefined; part = env[`${passedName}${parts.length + 1}`]) {
    parts.push(part);
  }
  return parts.length === 0 ? undefined : Buffer.from(parts.join(''), 'base64');
}

/** The variables of an environment in the kernel's form. Of two with one name the first counts, as for getenv(3). */
export function variablesOf(text: string): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const entry of text.split('\0')) {
    const end = entry.indexOf('=', 1);
    const name = entry.slice(0, end);
    if (end !== -1 && !variables.has(name)) variables.set(name, entry.slice(end + 1));
  }
  return variables;
}

/** Makes `env` what bin/pointsman was given. */
export function restoreEnvironment(env: Record<string, string | undefined>): void {
  const passed = passedEnvironment(env);
  if (passed === undefined) return;
  const variables = variablesOf(passed.toString());
  for (const name of Object.keys(env)) if (!variables.has(name)) delete env[name];
  for (const [name, value] of variables) if (env[name] !== value) env[name] = value;
}
