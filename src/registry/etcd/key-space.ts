import type { IKeyValue } from 'etcd3/lib/rpc.js';
import { revision } from '../../model/revision.ts';
import type { Entry, ReadFilter } from '../registry.ts';

/** Keys under the root as etcd wants and gives them. */
export type KeySpace = {
  readonly toBytes: (key: string) => Buffer;
  readonly fromBytes: (key: Buffer) => string;
  readonly toEntry: (kv: IKeyValue) => Entry;
};

const everything: ReadFilter = { reject: () => undefined, shorten: (entry) => entry };

export function keySpace(root: string, { reject, shorten }: ReadFilter = everything): KeySpace {
  const skip = Buffer.byteLength(root);
  const fromBytes = (key: Buffer) => key.toString('utf8', skip);
  return {
    toBytes: (key) => Buffer.from(root + key),
    fromBytes,
    toEntry: (kv) => {
      const key = fromBytes(kv.key);
      const rejected = reject(key, kv.value.length);
      return shorten({
        key,
        value: rejected === undefined ? kv.value.toString('utf8') : '',
        revision: revision(kv.mod_revision),
        ...(kv.create_revision === kv.mod_revision ? {} : { created: revision(kv.create_revision) }),
        leased: kv.lease !== '0',
        ...(kv.lease === '0' ? {} : { lease: kv.lease }),
        ...(rejected === undefined ? {} : { rejected }),
      });
    },
  };
}
