/**
 * A process of its own that follows an etcd registry and holds keys in it, for tests that stop and end processes.
 *
 *     ENDPOINT[,ENDPOINT…] ROOT TTL KEY=VALUE…
 *
 * Prints a JSON array a line: `view` with the follower's view, its revision and what was wrong so far; `connected` and
 * `disconnected`; `held` once all keys are put; each event of the session. On SIGTERM it closes what it opened, prints
 * `closed`, and ends when nothing is left that would keep it alive.
 */
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { Recorder } from './recorder.ts';

const [endpoints = '', root = '', ttlMs, ...pairs] = process.argv.slice(2);
const registry = openEtcdRegistry({ endpoints: endpoints.split(','), root });

function say(...words: unknown[]): void {
  process.stdout.write(`${JSON.stringify(words, (_, value) => (typeof value === 'bigint' ? String(value) : value))}\n`);
}

const recorder = new Recorder(registry, undefined, ({ kind }) => {
  if (kind === 'connected' || kind === 'disconnected') say(kind);
  else say('view', recorder.values(), recorder.revision, recorder.violations);
});
const session = registry.openSession({
  ttlMs: Number(ttlMs),
  mayReplace: () => false,
  onEvent: ({ kind }) => say(kind),
});
process.once('SIGTERM', async () => {
  await session.close();
  await registry.close();
  say('closed');
});
for (const pair of pairs) {
  const [key = '', value = ''] = pair.split('=');
  await session.put(key, value);
}
say('held');
