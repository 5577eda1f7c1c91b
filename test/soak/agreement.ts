import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseServersState } from '../../src/haproxy/running-state.ts';
import { connectRuntime } from '../../src/haproxy/runtime-connection.ts';
import { until } from '../support/until.ts';
import type { World } from './world.ts';

/** Waits until HAProxy, its configuration and the file that is kept have just the instances that etcd has. */
export async function allAgree({ etcd, registry, disk, file }: World): Promise<void> {
  await etcd.healthy();
  const { entries } = await registry.read('instances/');
  const wanted = new Set(entries.map(({ key }) => key.slice('instances/'.length)));
  const agrees = (what: string, read: () => Promise<readonly string[]>) =>
    until(
      what,
      async () => {
        const has = new Set(await read());
        const missing = [...wanted].filter((one) => !has.has(one));
        const extra = [...has].filter((one) => !wanted.has(one));
        if (missing.length + extra.length === 0) return true;
        throw new Error(`missing: ${someOf(missing)}; extra: ${someOf(extra)}`);
      },
      { deadlineMs: 60_000, everyMs: 200 },
    );
  await agrees('HAProxy has what etcd has', () => serversIn(join(disk.path, 'run/haproxy.sock')));
  await agrees('so has its configuration', () => configuredIn(join(disk.path, 'haproxy.cfg')));
  await agrees('so has the file that is kept', async () =>
    (await readFile(file, 'utf8')).split('\n').filter((line) => line !== ''),
  );
}

/** How many there are, and the first of them. */
const someOf = (ids: readonly string[]) => `${ids.length} ${ids.slice(0, 10).join(' ')}`;

async function serversIn(path: string): Promise<readonly string[]> {
  const connection = await connectRuntime({ path, greetingMs: 1000, answerMs: 5000, onLost: () => undefined });
  const [state = ''] = await connection.run(['show servers state']).finally(() => connection.close());
  return (
    [...parseServersState(state)]
      // `_successor` is where an old worker passes requests on to.
      .filter(([backend]) => !backend.startsWith('_'))
      .flatMap(([backend, servers]) =>
        // A server that left can still be there, in maintenance.
        [...servers].filter(([, { disabled }]) => !disabled).map(([id]) => `${backend}/${id}`),
      )
  );
}

async function configuredIn(path: string): Promise<readonly string[]> {
  let backend = '';
  const has: string[] = [];
  const text = await readFile(path, 'utf8');
  for (const [, name, server] of text.matchAll(/^backend (\S+)|^ {4}server (\S+)/gm)) {
    if (name !== undefined) backend = name;
    else if (!backend.startsWith('_') && backend !== '') has.push(`${backend}/${server}`);
  }
  return has;
}
