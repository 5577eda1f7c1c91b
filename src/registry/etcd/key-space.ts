import type { IKeyValue } from 'etcd3/lib/rpc.js';
import { rawBytes, rawText } from '../../model/raw-text.ts';
import { revision } from '../../model/revision.ts';
import type { Entry, ReadFilter } from '../registry.ts';

/** Keys under the root as etcd wants and gives them. */
export type KeySpace = {
  readonly toBytes: (key: string) => Buffer;
  readonly toValue: (value: string) => Buffer;
  readonly fromBytes: (key: Buffer) => string;
  readonly toEntry: (kv: IKeyValue) => Entry;
};

const everything: ReadFilter = { reject: () => undefined, shorten: (entry) => entry };

/** How keys and values are decoded. `raw` keeps bytes that are not UTF-8 (`rawText`); `utf8` replaces them with U+FFFD. */
export type Decoding = 'utf8' | 'raw';

export function keySpace(
  root: string,
  { reject, shorten }: ReadFilter = everything,
  decoding: Decoding = 'utf8',
): KeySpace {
  const skip = Buffer.byteLength(root);
  const decode =
    decoding === 'raw' ? rawText : (bytes: Buffer, start?: number): string => bytes.toString('utf8', start);
  const encode = decoding === 'raw' ? rawBytes : (text: string) => Buffer.from(text);
  const fromBytes = (key: Buffer) => decode(key, skip);
  return {
    toBytes: (key) => encode(root + key),
    toValue: encode,
    fromBytes,
    toEntry: (kv) => {
      const key = fromBytes(kv.key);
      const rejected = reject(key, kv.value.length);
      return shorten({
        key,
        value: rejected === undefined ? decode(kv.value) : '',
        revision: revision(kv.mod_revision),
        ...(kv.create_revision === kv.mod_revision ? {} : { created: revision(kv.create_revision) }),
        leased: kv.lease !== '0',
        ...(kv.lease === '0' ? {} : { lease: kv.lease }),
        ...(rejected === undefined ? {} : { rejected }),
      });
    },
  };
}
