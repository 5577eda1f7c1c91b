import { afterAll, beforeAll, describe } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
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
});
