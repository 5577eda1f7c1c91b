import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { RegistryEvent } from '../../src/registry/registry.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { describeRegistryContract } from './contract.ts';

describe('etcd', () => {
  let etcd: EtcdCluster;
  let stores = 0;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  describeRegistryContract('etcd', {
    // etcd's shortest with its default election time-out.
    ttlMs: 2000,
    runs: 10,
    async newStore() {
      stores += 1;
      const root = `/store-${stores}/`;
      return {
        open: () => openEtcdRegistry({ endpoints: etcd.endpoints, root }),
        writeByHand: async (key, value) => {
          await etcd.ctl('put', root + key, value);
        },
        deleteByHand: async (key) => {
          await etcd.ctl('del', root + key);
        },
        dispose: async () => {
          await etcd.ctl('del', '--prefix', root);
        },
      };
    },
  });

  test('keys whose values are refused for their size arrive without the values', { timeout: 60_000 }, async () => {
    const options = { endpoints: etcd.endpoints, root: '/large/' };
    const reject = (_: string, bytes: number) => (bytes > 1000 ? `it has ${bytes} bytes` : undefined);
    const registry = openEtcdRegistry({ ...options, reading: { reject, shorten: (entry) => entry } });
    onTestFinished(() => registry.close());
    const large = 'x'.repeat(1_400_000);
    const names = Array.from({ length: 60 }, (_, i) => `instances/web/${i}`);
    for (const name of names) await registry.write(name, Number(name.at(-1)) % 2 === 0 ? 'small' : large);
    const events: RegistryEvent[] = [];
    const follower = registry.follow((event) => events.push(event));
    onTestFinished(() => follower.close());
    await until('it follows', () => events.some(({ kind }) => kind === 'connected'));
    await registry.write('instances/web/later', large);
    const entries = () =>
      events.flatMap((event) => {
        if (event.kind === 'snapshot') return [...event.entries.values()];
        return event.kind === 'changes' ? event.changes.flatMap((one) => (one.kind === 'put' ? [one.entry] : [])) : [];
      });
    await until('all entries have arrived', () => entries().length > names.length);
    for (const { key, value, rejected } of entries()) {
      const isLarge = key.endsWith('later') || Number(key.at(-1)) % 2 === 1;
      expect([key, value, rejected]).toEqual([key, ...(isLarge ? ['', 'it has 1400000 bytes'] : ['small', undefined])]);
    }
  });
});
