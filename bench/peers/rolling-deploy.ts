import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../../test/support/ask.ts';
import type { EtcdCluster } from '../../test/support/etcd.ts';
import { freePort } from '../../test/support/ports.ts';
import { until } from '../../test/support/until.ts';
import { application, type SteadyResult, startSteadyLoad } from '../steady-load.ts';
import { root } from '../ways.ts';
import { type Peer, start } from './peer.ts';

/** How an instance is started and announced, and how it leaves. */
export type Practice = {
  readonly name: string;
  start(id: string): Promise<{ leave(): Promise<void> }>;
};

/** The application is started by `pointsman register`, and the next step waits until every balancer serves it. */
export function registered(etcd: EtcdCluster, dir: string): Practice {
  const pointsman = (command: string, ...args: readonly string[]) =>
    start(resolve('bin', 'pointsman'), [command, '--registry', etcd.location, '--root', root, '--log-format', 'json', ...args]); // biome-ignore format: a command line
  return {
    name: 'register, wait',
    async start(id) {
      const port = await freePort();
      const command = ['--', process.execPath, await applicationIn(dir), id, `${port}`];
      const { end } = pointsman(
        'register',
        '--service',
        'web',
        '--id',
        id,
        '--address',
        `127.0.0.1:${port}`,
        ...command,
      );
      const waiting = pointsman('wait', `web/${id}`, '--timeout', '60s');
      const code = await new Promise((done) => waiting.child.once('close', done));
      if (code !== 0) throw new Error(waiting.log());
      return { leave: end };
    },
  };
}

/** The application is announced when it listens, and ended `pauseMs` after its removal was accepted. */
export function byHand(peer: Peer, dir: string, pauseMs: number): Practice {
  return {
    name: pauseMs === 0 ? 'remove, end' : `remove, sleep ${pauseMs / 1000} s, end`,
    async start(id) {
      const port = await freePort();
      const { end } = start(process.execPath, [await applicationIn(dir), id, `${port}`]);
      await until('it listens', async () => (await ask(port, 'web')).status === 200, { deadlineMs: 30_000 });
      await peer.add('web', id, `127.0.0.1:${port}`);
      return {
        async leave() {
          await peer.remove('web', id);
          await pause(pauseMs);
          await end();
        },
      };
    },
  };
}

async function applicationIn(dir: string): Promise<string> {
  const file = join(dir, 'app.cjs');
  await writeFile(file, application);
  return file;
}

/** `nudges`: how often another key had to change until all instances before the deploy were asked. */
export type Deployed = SteadyResult & { readonly tookMs: number; readonly nudges: number };
const nudgeAfterMs = 10_000;

/** Replaces each instance of `web` by a new one, one after the other, under load. */
export async function rollingDeploy({ port, nudge }: Peer, practice: Practice, instances: number): Promise<Deployed> {
  const ids = Array.from({ length: instances }, (_, i) => `i${i}`);
  const running: { leave(): Promise<void> }[] = [];
  for (const id of ids) running.push(await practice.start(`${id}-old`));
  const load = () => startSteadyLoad({ ports: [port], host: 'web', keepAlive: 2, fresh: 2, slow: 1, everyMs: 15 });
  const first = load();
  let nudges = 0;
  for (let last = performance.now(); first.result().bodies.size < instances; await pause(100)) {
    if (performance.now() - last < nudgeAfterMs) continue;
    if (nudge === undefined || nudges === 5) throw new Error(`only ${first.result().bodies.size} instances are asked`);
    await nudge();
    nudges += 1;
    last = performance.now();
  }
  await first.stop();
  const meanwhile = load();
  const began = performance.now();
  for (const [i, id] of ids.entries()) {
    await running[i]?.leave();
    running[i] = await practice.start(`${id}-new`);
  }
  const tookMs = performance.now() - began;
  const result = await meanwhile.stop();
  for (const { leave } of running) await leave();
  return { ...result, tookMs, nudges };
}
