import { readFile } from 'node:fs/promises';
import type {
  IDeleteRangeRequest,
  IDeleteRangeResponse,
  ILeaseGrantRequest,
  ILeaseGrantResponse,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  ILeaseRevokeRequest,
  ILeaseRevokeResponse,
  ILeaseTimeToLiveRequest,
  ILeaseTimeToLiveResponse,
  IPutRequest,
  IPutResponse,
  IRangeRequest,
  IRangeResponse,
  ITxnRequest,
  ITxnResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3/lib/rpc.js';
import { describe, Fault } from '../../model/fault.ts';
import { leastCallMs } from './call-time.ts';
import { type Method, methods } from './etcd-protocol.ts';
import { type CallMetadata, type DuplexCall, GrpcChannel, type StreamListener, type TlsFiles } from './grpc-channel.ts';

/** Where a member is, `host:port`, and the name that its certificate has to have if not that host. */
export type MemberAddress = { readonly address: string; readonly serverName?: string | undefined };

/** How to reach the members of a cluster. Files are read again at each connect, so that they can be rotated. */
export type EtcdAccess = {
  readonly credentials?: { readonly username: string; readonly readPassword: () => Promise<string> } | undefined;
  readonly tls?:
    | {
        readonly caFile?: string | undefined;
        readonly certFile?: string | undefined;
        readonly keyFile?: string | undefined;
      }
    | undefined;
};

type CallOptions = {
  readonly deadline?: number | undefined;
  /** A longer answer is not read: the call rejects with TooLarge. */
  readonly mostBytes?: number | undefined;
};
type Call<T, R> = (request: T, options?: CallOptions) => Promise<R>;
type Stream<T, R> = (listener: StreamListener<R>) => Promise<DuplexCall<T>>;

/** A connection to one member. It is thrown away on any doubt and never repaired: see openMember. */
export type MemberClient = {
  readonly endpoint: string;
  readonly kv: {
    readonly range: Call<IRangeRequest, IRangeResponse>;
    readonly put: Call<IPutRequest, IPutResponse>;
    readonly deleteRange: Call<IDeleteRangeRequest, IDeleteRangeResponse>;
    readonly txn: Call<ITxnRequest, ITxnResponse>;
  };
  readonly lease: {
    readonly leaseGrant: Call<ILeaseGrantRequest, ILeaseGrantResponse>;
    readonly leaseRevoke: Call<ILeaseRevokeRequest, ILeaseRevokeResponse>;
    readonly leaseTimeToLive: Call<ILeaseTimeToLiveRequest, ILeaseTimeToLiveResponse>;
  };
  readonly watch: Stream<IWatchRequest, IWatchResponse>;
  readonly keepAlive: Stream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;
  /** The connection is gone at once, and with it every call. */
  close(): void;
};

/**
 * Has etcd end streams and refuse calls on a member that lost its leader, instead of leaving them silent.
 */
const requireLeader: CallMetadata = { hasleader: 'true' };

/** etcd forgets a token some minutes after its last use, and all of them when a user or a role changes. */
/** `user name is empty`: users were introduced after a login that needed none. */
const staleToken = /invalid auth token|revision of auth store is old|user name is empty/;
const withoutUsers = /authentication is not enabled/;

/**
 * Opens a client for one member: one connection, on which everything is asked. `callMs` is what the login may take, and
 * each call that sets no deadline. Rejects with Fault `settings` when a file cannot be read.
 */
export async function openMember(
  member: MemberAddress,
  access: EtcdAccess,
  callMs: number = leastCallMs,
): Promise<MemberClient> {
  const { address, serverName } = member;
  const { credentials, tls } = access;
  const files = tls === undefined ? undefined : await readTls(tls);
  const password = await credentials?.readPassword();
  const channel = new GrpcChannel(address, files, serverName);
  let login: Promise<CallMetadata> | undefined;
  const metadata = (): Promise<CallMetadata> => {
    login ??=
      credentials === undefined
        ? Promise.resolve(requireLeader)
        : channel.unary(methods.authenticate, { name: credentials.username, password }, {}, { ms: callMs }).then(
            ({ token }) => ({ ...requireLeader, token: String(token) }),
            // An etcd without users lets everybody in; etcd's own clients take it so, too.
            (error: unknown) => {
              if (!withoutUsers.test(describe(error))) throw error;
              return requireLeader;
            },
          );
    return login;
  };
  const call =
    <T extends object, R>(method: Method): Call<T, R> =>
    async (request, { deadline, mostBytes } = {}) => {
      const ask = async () => {
        const token = await metadata();
        const ms = deadline === undefined ? callMs : Math.max(1, deadline - Date.now());
        return channel.unary(method, request, token, { ms, mostBytes });
      };
      const answer = await ask().catch((error: unknown) => {
        if (credentials === undefined || !staleToken.test(describe(error))) throw error;
        login = undefined;
        return ask();
      });
      return answer as R;
    };
  const stream =
    <T extends object, R>(method: Method): Stream<T, R> =>
    async (listener) =>
      channel.duplex<T, R>(method, await metadata(), listener);
  return {
    endpoint: address,
    kv: {
      range: call(methods.range),
      put: call(methods.put),
      deleteRange: call(methods.deleteRange),
      txn: call(methods.txn),
    },
    lease: {
      leaseGrant: call(methods.leaseGrant),
      leaseRevoke: call(methods.leaseRevoke),
      leaseTimeToLive: call(methods.leaseTimeToLive),
    },
    watch: stream(methods.watch),
    keepAlive: stream(methods.leaseKeepAlive),
    close: () => channel.close(),
  };
}

async function readTls({ caFile, certFile, keyFile }: NonNullable<EtcdAccess['tls']>): Promise<TlsFiles> {
  const read = async (path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    try {
      return await readFile(path);
    } catch (cause) {
      throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
    }
  };
  const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
}
