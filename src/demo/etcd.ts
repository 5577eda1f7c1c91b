import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Fault } from '../model/fault.ts';
import type { Start } from './child.ts';
import { accepts, freePort } from './ports.ts';

const startMs = 15_000;

/** Starts an etcd for the demo alone. Resolves with its location when it answers. */
export async function startEtcd(dir: string, start: Start): Promise<string> {
  const [client, peer] = [await freePort(), await freePort()];
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  const etcd = start(
    'etcd',
    ['etcd', '--data-dir', join(dir, 'etcd'), '--log-level', 'error',
    '--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl, '--listen-peer-urls', peerUrl,
    '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`], // biome-ignore format: a command line
  );
  let end: string | undefined;
  void etcd.ended.then((how) => {
    end = how;
  });
  const deadline = performance.now() + startMs;
  while (!(await accepts(client))) {
    if (end !== undefined || performance.now() > deadline) {
      throw new Fault('registry-unreachable', `etcd did not start: ${end ?? 'no answer within 15 s'}`, {
        hint: 'install it, as root: apt-get install etcd-server; or run the demo without --etcd',
      });
    }
    await pause(20);
  }
  return `etcd://127.0.0.1:${client}`;
}
