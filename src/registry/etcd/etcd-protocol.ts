import type { Enum, Field, FieldType, Message } from './protobuf.ts';

/**
 * The messages of etcd's API that are spoken here, as etcd3's .proto files have them: a test compares them. Messages that are not used are left out. Those files are
 * not read at run time, because parsing them and what it takes is 10 MB and 60 ms of each `register`.
 */
type Repeated = { readonly repeated: FieldType };
type Oneof = { readonly oneof: FieldType };
type FieldSpec = FieldType | Repeated | Oneof;

function message(
  name: string,
  fields: () => Readonly<Record<string, readonly [number: number, type: FieldSpec]>>,
): Message {
  let known: ReadonlyMap<number, Field> | undefined;
  return {
    name,
    fields() {
      known ??= new Map(
        Object.entries(fields()).map(([field, [number, given]]) => {
          const rest = { name: field, number, repeated: false, oneof: false };
          if (isRepeated(given)) return [number, { ...rest, type: given.repeated, repeated: true }] as const;
          if (isOneof(given)) return [number, { ...rest, type: given.oneof, oneof: true }] as const;
          return [number, { ...rest, type: given }] as const;
        }),
      );
      return known;
    },
  };
}

const isRepeated = (given: FieldSpec): given is Repeated => typeof given === 'object' && 'repeated' in given;
const isOneof = (given: FieldSpec): given is Oneof => typeof given === 'object' && 'oneof' in given;

const choice = (...values: readonly string[]): Enum => ({ values });

const header = message('ResponseHeader', () => ({
  cluster_id: [1, 'uint64'],
  member_id: [2, 'uint64'],
  revision: [3, 'int64'],
  raft_term: [4, 'uint64'],
}));

const keyValue = message('KeyValue', () => ({
  key: [1, 'bytes'],
  create_revision: [2, 'int64'],
  mod_revision: [3, 'int64'],
  version: [4, 'int64'],
  value: [5, 'bytes'],
  lease: [6, 'int64'],
}));

const event = message('Event', () => ({
  type: [1, choice('Put', 'Delete')],
  kv: [2, keyValue],
  prev_kv: [3, keyValue],
}));

const rangeRequest = message('RangeRequest', () => ({
  key: [1, 'bytes'],
  range_end: [2, 'bytes'],
  limit: [3, 'int64'],
  revision: [4, 'int64'],
  sort_order: [5, choice('None', 'Ascend', 'Descend')],
  sort_target: [6, choice('Key', 'Version', 'Create', 'Mod', 'Value')],
  serializable: [7, 'bool'],
  keys_only: [8, 'bool'],
  count_only: [9, 'bool'],
  min_mod_revision: [10, 'int64'],
  max_mod_revision: [11, 'int64'],
  min_create_revision: [12, 'int64'],
  max_create_revision: [13, 'int64'],
}));

const rangeResponse = message('RangeResponse', () => ({
  header: [1, header],
  kvs: [2, { repeated: keyValue }],
  more: [3, 'bool'],
  count: [4, 'int64'],
}));

const putRequest = message('PutRequest', () => ({
  key: [1, 'bytes'],
  value: [2, 'bytes'],
  lease: [3, 'int64'],
  prev_kv: [4, 'bool'],
  ignore_value: [5, 'bool'],
  ignore_lease: [6, 'bool'],
}));

const putResponse = message('PutResponse', () => ({ header: [1, header], prev_kv: [2, keyValue] }));

const deleteRangeRequest = message('DeleteRangeRequest', () => ({
  key: [1, 'bytes'],
  range_end: [2, 'bytes'],
  prev_kv: [3, 'bool'],
}));

const deleteRangeResponse = message('DeleteRangeResponse', () => ({
  header: [1, header],
  deleted: [2, 'int64'],
  prev_kvs: [3, { repeated: keyValue }],
}));

const compare = message('Compare', () => ({
  result: [1, choice('Equal', 'Greater', 'Less', 'NotEqual')],
  target: [2, choice('Version', 'Create', 'Mod', 'Value', 'Lease')],
  key: [3, 'bytes'],
  version: [4, { oneof: 'int64' }],
  create_revision: [5, { oneof: 'int64' }],
  mod_revision: [6, { oneof: 'int64' }],
  value: [7, { oneof: 'bytes' }],
  lease: [8, { oneof: 'int64' }],
  range_end: [64, 'bytes'],
}));

const requestOp = message('RequestOp', () => ({
  request_range: [1, { oneof: rangeRequest }],
  request_put: [2, { oneof: putRequest }],
  request_delete_range: [3, { oneof: deleteRangeRequest }],
  request_txn: [4, { oneof: txnRequest }],
}));

const responseOp = message('ResponseOp', () => ({
  response_range: [1, { oneof: rangeResponse }],
  response_put: [2, { oneof: putResponse }],
  response_delete_range: [3, { oneof: deleteRangeResponse }],
  response_txn: [4, { oneof: txnResponse }],
}));

const txnRequest = message('TxnRequest', () => ({
  compare: [1, { repeated: compare }],
  success: [2, { repeated: requestOp }],
  failure: [3, { repeated: requestOp }],
}));

const txnResponse = message('TxnResponse', () => ({
  header: [1, header],
  succeeded: [2, 'bool'],
  responses: [3, { repeated: responseOp }],
}));

const watchCreateRequest = message('WatchCreateRequest', () => ({
  key: [1, 'bytes'],
  range_end: [2, 'bytes'],
  start_revision: [3, 'int64'],
  progress_notify: [4, 'bool'],
  prev_kv: [6, 'bool'],
  watch_id: [7, 'int64'],
  fragment: [8, 'bool'],
}));

const watchRequest = message('WatchRequest', () => ({
  create_request: [1, { oneof: watchCreateRequest }],
  cancel_request: [2, { oneof: message('WatchCancelRequest', () => ({ watch_id: [1, 'int64'] })) }],
  progress_request: [3, { oneof: message('WatchProgressRequest', () => ({})) }],
}));

const watchResponse = message('WatchResponse', () => ({
  header: [1, header],
  watch_id: [2, 'int64'],
  created: [3, 'bool'],
  canceled: [4, 'bool'],
  compact_revision: [5, 'int64'],
  cancel_reason: [6, 'string'],
  fragment: [7, 'bool'],
  events: [11, { repeated: event }],
}));

const leaseId = (name: string) => message(name, () => ({ ID: [1, 'int64'] }));
const headerOnly = (name: string) => message(name, () => ({ header: [1, header] }));

/** A method, with what it takes and gives. */
export type Method = { readonly path: string; readonly request: Message; readonly response: Message };

const method = (path: string, request: Message, response: Message): Method => ({
  path: `/etcdserverpb.${path}`,
  request,
  response,
});

export const methods = {
  range: method('KV/Range', rangeRequest, rangeResponse),
  put: method('KV/Put', putRequest, putResponse),
  deleteRange: method('KV/DeleteRange', deleteRangeRequest, deleteRangeResponse),
  txn: method('KV/Txn', txnRequest, txnResponse),
  watch: method('Watch/Watch', watchRequest, watchResponse),
  leaseGrant: method(
    'Lease/LeaseGrant',
    message('LeaseGrantRequest', () => ({ TTL: [1, 'int64'], ID: [2, 'int64'] })),
    message('LeaseGrantResponse', () => ({
      header: [1, header],
      ID: [2, 'int64'],
      TTL: [3, 'int64'],
      error: [4, 'string'],
    })),
  ),
  leaseRevoke: method('Lease/LeaseRevoke', leaseId('LeaseRevokeRequest'), headerOnly('LeaseRevokeResponse')),
  leaseKeepAlive: method(
    'Lease/LeaseKeepAlive',
    leaseId('LeaseKeepAliveRequest'),
    message('LeaseKeepAliveResponse', () => ({ header: [1, header], ID: [2, 'int64'], TTL: [3, 'int64'] })),
  ),
  leaseTimeToLive: method(
    'Lease/LeaseTimeToLive',
    message('LeaseTimeToLiveRequest', () => ({ ID: [1, 'int64'], keys: [2, 'bool'] })),
    message('LeaseTimeToLiveResponse', () => ({
      header: [1, header],
      ID: [2, 'int64'],
      TTL: [3, 'int64'],
      grantedTTL: [4, 'int64'],
      keys: [5, { repeated: 'bytes' }],
    })),
  ),
  authenticate: method(
    'Auth/Authenticate',
    message('AuthenticateRequest', () => ({ name: [1, 'string'], password: [2, 'string'] })),
    message('AuthenticateResponse', () => ({ header: [1, header], token: [2, 'string'] })),
  ),
} as const;
