import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { readProcesses, reloadMaster } from '../../src/haproxy/master.ts';
import { signal } from '../../src/haproxy/processes.ts';
import { until } from '../support/until.ts';
import { instances, registeredKey, services, type World } from './world.ts';

/** A fault that is over when this resolves. `cut`: requests may fail meanwhile. */
export type Fault = { readonly name: string; readonly cut: boolean; readonly act: () => Promise<void> };

/** A whole number from 0 and below `n`. */
type Below = (n: number) => number;

export function faultsOf(world: World, below: Below): readonly Fault[] {
  const lossless = (name: string, act: () => Promise<void>): Fault => ({ name, cut: false, act });
  const cutting = (name: string, act: () => Promise<void>): Fault => ({ name, cut: true, act });
  return [
    lossless('etcd member hangs', () => memberHangs(world, below)),
    lossless('etcd member dies', () => memberDies(world, below)),
    lossless('etcd is wiped and started empty', () => etcdWiped(world, below)),
    lossless('etcd is restored from a snapshot', () => etcdRestored(world, below)),
    lossless('everything is deleted by mistake', () => everythingDeleted(world, below)),
    lossless('a registered process stops beyond its TTL', () => registerFrozen(world)),
    lossless('pointsman is killed', () => world.replaceBalancer(below(1000))),
    lossless('somebody else reloads', async () => {
      await reloadMaster(world.masterSocket, 10_000).catch(() => undefined);
    }),
    lossless('a policy changes', async () => {
      const text = world.policyOf(below(2) === 0 ? 'roundrobin' : 'leastconn');
      await world.registry.write(`services/s${below(services)}`, text).catch(() => undefined);
    }),
    lossless('the disk is full', () => world.disk.full(500 + below(2000))),
    lossless('a file is deleted', () => fileChanged(world, () => rm(world.file, { force: true }))),
    lossless('a file is edited by hand', () => fileChanged(world, () => writeFile(world.file, byHand))),
    cutting('the worker is killed', () => kill(world, 'workerPid')),
    cutting('the master is killed', () => kill(world, 'masterPid')),
    cutting('both are killed', () => kill(world, 'masterPid', 'workerPid')),
  ];
}

async function memberHangs(world: World, below: Below): Promise<void> {
  const one = memberOf(world, below);
  one.signal('SIGSTOP');
  await pause(500 + below(2500));
  one.signal('SIGCONT');
}

async function memberDies(world: World, below: Below): Promise<void> {
  const one = memberOf(world, below);
  await one.stop();
  await pause(below(1500));
  one.start();
  await world.etcd.healthy();
}

function memberOf({ etcd }: World, below: Below) {
  const member = etcd.members[below(etcd.members.length)];
  if (member === undefined) throw new Error('there is no such member');
  return member;
}

/** All is held until it is written again, or released. */
async function etcdWiped(world: World, below: Below): Promise<void> {
  await told(world, 'history-replaced', () => world.etcd.wipe());
  await comeBack(world, below);
}

/** The balancer holds the entries that were written after the snapshot. */
async function etcdRestored(world: World, below: Below): Promise<void> {
  const saved = await world.etcd.snapshot();
  await pause(500 + below(1000));
  await told(world, 'history-replaced', () => world.etcd.restore(saved));
  await comeBack(world, below);
}

async function everythingDeleted(world: World, below: Below): Promise<void> {
  await told(world, 'entries-held', () => world.etcd.ctl('del', '--prefix', '/pointsman/'));
  await comeBack(world, below);
}

/** Does something that the balancer says it has noticed. */
async function told(world: World, event: string, act: () => Promise<unknown>): Promise<void> {
  const count = () => world.balancer().log.filter((line) => line.event === event).length;
  const before = count();
  await act();
  await until(`the balancer says ${event}`, () => count() > before, { deadlineMs: 60_000 });
}

/** The operator's answer: writes the policies again and all instances or most of them, and releases the rest. */
async function comeBack(world: World, below: Below): Promise<void> {
  const most = below(2) === 0 ? 1 : 4;
  for (let s = 0; s < services; s += 1) await world.write(`services/s${s}`, world.policyOf());
  for (let from = 0; from < instances; from += 100) {
    const some = Array.from({ length: 100 }, (_, i) => from + i).filter(() => most === 1 || below(most) > 0);
    await Promise.all(some.map((i) => world.write(world.keyOf(i), world.registrationOf(i))));
  }
  await isRegistered(world, true);
  await world.releaseAll();
}

async function registerFrozen(world: World): Promise<void> {
  world.register.kill('SIGSTOP');
  await isRegistered(world, false);
  world.register.kill('SIGCONT');
  await isRegistered(world, true);
}

function isRegistered({ registry }: World, wanted: boolean): Promise<boolean> {
  const read = () =>
    registry.read(registeredKey, AbortSignal.timeout(5000)).then(
      ({ entries }) => entries.length > 0,
      () => undefined,
    );
  return until(`${registeredKey} is ${wanted ? 'there' : 'gone'}`, async () => (await read()) === wanted, {
    deadlineMs: 60_000,
    everyMs: 100,
  });
}

const byHand = 'by hand\n';

/** A file that somebody else changes is as it should be again, within seconds. */
async function fileChanged({ file }: World, change: () => Promise<void>): Promise<void> {
  await change();
  const isOurs = async () => /^s0\//.test(await readFile(file, 'utf8').catch(() => ''));
  await until('the file is as it should be', isOurs, { deadlineMs: 60_000 });
}

async function kill({ masterSocket }: World, ...which: readonly ('masterPid' | 'workerPid')[]): Promise<void> {
  const processes = await readProcesses(masterSocket, 2000);
  for (const pid of which.map((one) => processes?.[one])) if (pid !== undefined) signal(pid, 'SIGKILL');
}
