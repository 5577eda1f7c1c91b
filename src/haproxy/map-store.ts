import { unexpectedAnswer } from './answers.ts';
import type { RuntimeConnection } from './runtime-connection.ts';

/** The number of entries of a map that a worker was given, and that were taken from it. */
export type MapChange = { readonly added: number; readonly changed: number; readonly removed: number };

/** A row of `show map`: an address in memory, the key and the value. */
const row = /^0x[0-9a-f]+ (\S+) (.*)$/;

/**
 * Has the running worker use these entries of a map, and no others. Removals come first, so that whatever is not wanted any more is
 * gone when the first new entry counts. Rejects with Fault `haproxy-runtime` when HAProxy does not answer, or refuses a change.
 */
export async function serveMap(
  connection: RuntimeConnection,
  file: string,
  wanted: ReadonlyMap<string, string>,
): Promise<MapChange> {
  const [shown = ''] = await connection.run([`show map ${file}`]);
  // No policy of this worker needs the map. One that does takes a reload, which reads the file.
  if (/^Unknown map/i.test(shown.trim())) return { added: 0, changed: 0, removed: 0 };
  const running = new Map<string, string>();
  for (const line of shown.split('\n')) {
    const [, key, value] = row.exec(line) ?? [];
    if (key !== undefined && value !== undefined) running.set(key, value);
  }
  const removed = [...running.keys()].filter((key) => !wanted.has(key));
  const changed = [...wanted].filter(([key, value]) => running.has(key) && running.get(key) !== value);
  const added = [...wanted].filter(([key]) => !running.has(key));
  await silently(connection, removed, (key) => `del map ${file} ${key}`);
  await silently(connection, changed, ([key, value]) => `set map ${file} ${key} ${value}`);
  await silently(connection, added, ([key, value]) => `add map ${file} ${key} ${value}`);
  return { added: added.length, changed: changed.length, removed: removed.length };
}

/** Commands that answer nothing when they succeed. An entry may be a secret, so no error repeats it. */
async function silently<T>(
  connection: RuntimeConnection,
  items: readonly T[],
  command: (item: T) => string,
): Promise<void> {
  const answers = await connection.run(items.map(command));
  const bad = answers.find((answer) => answer.trim() !== '');
  if (bad !== undefined) throw unexpectedAnswer('a change of a map', bad);
}
