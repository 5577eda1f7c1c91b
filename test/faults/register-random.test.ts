import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { type Instance, parseInstance } from '../../src/model/instance.ts';
import { parseInstanceId, parseServiceName } from '../../src/model/name.ts';
import type { Parsed } from '../../src/model/parsed.ts';
import { Departure } from '../../src/register/departure.ts';
import { type Declared, Registration } from '../../src/register/registration.ts';
import { SharedLease } from '../../src/register/shared-lease.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { openMember } from '../../src/registry/etcd/member-client.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { randomFrom } from '../support/random.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const faultMs = Number(process.env['FAULT_MS'] ?? 20_000);
const key = 'instances/web/a';
const ttlMs = 2000;

function value<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const instance = (text: string): Instance =>
  value(parseInstance(value(parseServiceName('web')), value(parseInstanceId('a')), text));

/** Something like a process that registers web/a. */
function openProcess(endpoint: string, root: string, owner: string, address: string, random: () => number) {
  const registry = openEtcdRegistry({ endpoints: [endpoint], root, random });
  const said: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line) => said.push(`${owner} ${line.trim()}`) });
  const now = () => performance.now();
  const lease = new SharedLease({ registry, ttlMs, logger, now });
  const openDeparture = () => new Departure({ registry, drainTimeoutMs: 500, now });
  const declared = (weight: number): Declared => ({
    instance: { ...instance(address), owner, weight },
    check: undefined,
    rhythm: { intervalMs: 1000, timeoutMs: 1000, rise: 1, fall: 1 },
    unhealthy: 'withdraw',
  });
  const departures: Departure[] = [];
  const registration = new Registration({
    lease,
    declared: declared(100),
    logger,
    now,
    random,
    openProbe: () => {
      throw new Error('nothing is checked');
    },
    whenOwned: 'wait',
    onRefused: (fault) => said.push(`${owner} was refused: ${fault}`),
    departure: () => {
      const departure = openDeparture();
      departures.push(departure);
      return departure;
    },
  });
  registration.begin();
  return {
    owner,
    said,
    registration,
    declared,
    /** As runRegister leaves at SIGTERM. */
    async end(): Promise<void> {
      const departure = openDeparture();
      await registration.leave(departure, AbortSignal.timeout(20_000));
      await lease.close(AbortSignal.timeout(10_000));
      await Promise.all([departure, ...departures].map((one) => one.close()));
      await registry.close();
    },
  };
}

/**
 * Leases that are lost, keys that are deleted and overwritten, other processes that come and go, changes, retirements and
 * cut connections, in an order that a seed chooses; then SIGTERM at any moment.
 */
test('whatever happened in whatever order, an instance is registered while it lives and leaves draining', {
  timeout: faultMs + 120_000,
}, async () => {
  const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`FAULT_SEED=${seed}\n`);
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  const endpoint = etcd.endpoints[0] ?? '';
  const client = await openMember({ address: endpoint }, {});
  onTestFinished(() => client.close());
  const ends = performance.now() + faultMs;
  let tell = () => {};
  onTestFailed(() => tell());
  let rounds = 0;
  let steps = 0;

  for (; performance.now() < ends; rounds += 1) {
    const root = `/round-${rounds}/`;
    const proxy = await startTcpProxy(Number(endpoint.split(':')[1]));
    const witness = openEtcdRegistry({ endpoints: [endpoint], root });
    const recorder = new Recorder(witness);
    await recorder.started();
    const story: string[] = [];
    const ours = openProcess(proxy.endpoint, root, 'ours', '10.0.0.1:80', random);
    const others: ReturnType<typeof openProcess>[] = [];
    const everybody = [ours];
    tell = () => {
      process.stderr.write(`FAULT_SEED=${seed} ${root}\n${story.join('\n')}\n--- changes\n`);
      process.stderr.write(`${recorder.changes.join('\n')}\n--- said\n`);
      process.stderr.write(`${everybody.flatMap(({ said }) => said).join('\n')}\n`);
    };
    const standing = (): Instance | undefined => {
      const text = recorder.view.get(key)?.value;
      return text === undefined ? undefined : instance(text);
    };
    let retired = false;
    let byHand = false;

    const step = async () => {
      steps += 1;
      const what = pick([
        ...['lose lease', 'lose lease', 'delete', 'newer', 'other', 'other leaves', 'hand', 'change'],
        ...['retire', 'cut', 'black hole', 'pause'],
      ]);
      story.push(`${what} at revision ${recorder.revision}`);
      switch (what) {
        case 'lose lease': {
          const found = (await client.kv.range({ key: Buffer.from(root + key) })).kvs[0];
          if (found === undefined || found.lease === '0') return;
          await client.lease.leaseRevoke({ ID: found.lease }).catch(() => undefined);
          return;
        }
        case 'delete':
          await witness.remove(key);
          byHand = false;
          return;
        case 'newer':
        case 'other': {
          if (others.length >= 2) return;
          const address = what === 'newer' ? '10.0.0.1:80' : '10.0.0.2:80';
          const other = openProcess(endpoint, root, `${what}-${steps}`, address, random);
          others.push(other);
          everybody.push(other);
          return;
        }
        case 'other leaves':
          await others.shift()?.end();
          return;
        case 'hand':
          await witness.write(key, '10.0.0.3:80');
          byHand = true;
          return;
        case 'change':
          if (!retired) ours.registration.update(ours.declared(1 + Math.floor(random() * 200)));
          return;
        case 'retire':
          if (retired) ours.registration.update(ours.declared(100));
          else ours.registration.retire();
          retired = !retired;
          return;
        case 'cut':
          proxy.cut();
          return;
        case 'black hole':
          proxy.blackHole(true);
          await pause(random() * 1000);
          proxy.blackHole(false);
          return;
        case 'pause':
          await pause(random() * 1500);
      }
    };
    const count = 2 + Math.floor(random() * 8);
    for (let i = 0; i < count; i += 1) {
      await step();
      await pause(random() < 0.5 ? 0 : random() * 200);
    }

    const settles = random() < 0.5;
    if (settles) {
      if (byHand) await witness.remove(key);
      if (retired) ours.registration.update(ours.declared(100));
      // Somebody who lives has it; once the others have left it is ours.
      await until(`somebody stands in ${root}`, () => standing()?.owner !== undefined);
      while (others.length > 0) await others.shift()?.end();
      await until(`ours stands in ${root}`, () => standing()?.owner === 'ours' && standing()?.state === 'ready');
    }
    story.push(`leaving at revision ${recorder.revision}`);
    const leftAt = recorder.changes.length;
    const stood = standing();
    await ours.end();
    const { entries, revision } = await witness.read('');
    await recorder.reached(revision);
    expect(entries.find((entry) => entry.key === key)?.value ?? '', root).not.toContain('"ours"');
    const since = recorder.changes.slice(leftAt).filter((change) => change.includes(key));
    if (settles && stood !== undefined) {
      // A change may have been on its way.
      expect(
        since.slice(-2).map((change) => (change.includes('draining') ? 'draining' : change.split(' ')[1])),
      ).toEqual(['draining', 'delete']);
    }
    // Another living process has the key, or gets it.
    if (others.length > 0 && standing()?.owner === undefined) await witness.remove(key);
    if (others.length > 0) {
      await until(`one of the others stands in ${root}`, () => others.some(({ owner }) => standing()?.owner === owner));
    }
    while (others.length > 0) await others.shift()?.end();
    const leases = (await etcd.ctl('lease', 'list')).split('\n').slice(1).filter(Boolean);
    expect(leases, `leases left in ${root}`).toEqual([]);
    expect(everybody.flatMap(({ said }) => said).filter((line) => line.includes('refused'))).toEqual([]);
    await witness.close();
    await proxy.close();
  }
  process.stderr.write(`${rounds} rounds, ${steps} steps\n`);
});
