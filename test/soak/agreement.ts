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
  const wanted = entries
    .map(({ key }) => key.slice('instances/'.length))
    .sort()
    .join();
  const agrees = (what: string, has: () => Promise<readonly string[]>) =>
    until(what, async () => [...(await has())].sort().join() === wanted, { deadlineMs: 60_000, everyMs: 200 });
  await agrees('HAProxy has what etcd has', () => serversIn(join(disk.path, 'run/haproxy.sock')));
  await agrees('so has its configuration', () => configuredIn(join(disk.path, 'haproxy.cfg')));
  await agrees('so has the file that is kept', async () =>
    (await readFile(file, 'utf8')).split('\n').filter((line) => line !== ''),
  );
}

async function serversIn(path: string): Promise<readonly string[]> {
  const connection = await connectRuntime({ path, greetingMs: 1000, answerMs: 5000, onLost: () => undefined });
  const [state = ''] = await connection.run(['show servers state']).finally(() => connection.close());
  return [...parseServersState(state)].flatMap(([backend, servers]) =>
    // One that left can be there still, in maintenance.
    [...servers].filter(([, { disabled }]) => !disabled).map(([id]) => `${backend}/${id}`),
  );
}

async function configuredIn(path: string): Promise<readonly string[]> {
  let backend = '';
  const has: string[] = [];
  const text = await readFile(path, 'utf8');
  for (const [, name, server] of text.matchAll(/^backend (\S+)|^ {4}server (\S+)/gm)) {
    if (name !== undefined) backend = name;
    else has.push(`${backend}/${server}`);
  }
  return has;
}
