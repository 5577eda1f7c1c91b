/**
 * A process of its own that uses a directory registry, for tests that kill and stop processes.
 *
 *     hold PATH TTL KEY=VALUE…   holds the keys until killed
 *     follow PATH                prints the view after each event
 *     write PATH KEY COUNT       writes COUNT values one after the other, and ends
 *
 * Prints a JSON array a line: a name, then what belongs to it.
 */
import { pino } from 'pino';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';

const [mode, path = '', ...rest] = process.argv.slice(2);
const registry = openDirectoryRegistry({ path, logger: pino({ level: 'silent' }) });

function say(...words: unknown[]): void {
  process.stdout.write(`${JSON.stringify(words, (_, value) => (typeof value === 'bigint' ? String(value) : value))}\n`);
}

switch (mode) {
  case 'hold': {
    const [ttlMs, ...pairs] = rest;
    const session = registry.openSession({
      ttlMs: Number(ttlMs),
      mayReplace: () => false,
      onEvent: (event) => say(event.kind),
    });
    for (const pair of pairs) {
      const [key = '', value = ''] = pair.split('=');
      await session.put(key, value);
    }
    say('held');
    break;
  }
  case 'follow': {
    const view = new Map<string, string>();
    registry.follow((event) => {
      if (event.kind === 'snapshot') {
        view.clear();
        for (const { key, value } of event.entries.values()) view.set(key, value);
      } else if (event.kind === 'changes') {
        for (const change of event.changes) {
          if (change.kind === 'put') view.set(change.entry.key, change.entry.value);
          else view.delete(change.key);
        }
      } else return;
      say('view', Object.fromEntries([...view].sort()));
    });
    break;
  }
  case 'write': {
    const [key = '', count] = rest;
    for (let n = 0; n < Number(count); n += 1) say('wrote', await registry.write(key, `${process.pid}-${n}`));
    await registry.close();
    break;
  }
  default:
    throw new Error(`no such mode: ${mode}`);
}
