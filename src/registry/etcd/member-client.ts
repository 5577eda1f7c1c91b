import { readFile } from 'node:fs/promises';
import { Etcd3, type IDuplexStream, type IOptions, type IWatchRequest, type IWatchResponse } from 'etcd3';
import type { ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3/lib/rpc.js';
import { describe, Fault } from '../../model/fault.ts';

/** How the members of a cluster are reached. Files are read anew at each connect, so that they can be rotated. */
export type EtcdAccess = {
  /** `host:port` each. */
  readonly endpoints: readonly string[];
  readonly credentials?: { readonly username: string; readonly readPassword: () => Promise<string> } | undefined;
  readonly tls?:
    | {
        readonly caFile?: string | undefined;
        readonly certFile?: string | undefined;
        readonly keyFile?: string | undefined;
      }
    | undefined;
};

/** A connection to one member. It is thrown away on any doubt and never repaired: see openMember. */
export type MemberClient = {
  readonly endpoint: string;
  readonly kv: Etcd3['kv'];
  readonly lease: Etcd3['leaseClient'];
  watch(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>>;
  keepAlive(): Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>>;
  close(): void;
};

/** What a unary call may take, in ms: a member that is slower than this is as good as gone. */
const callMs = 2000;

type FaultHandling = NonNullable<IOptions['faultHandling']>;
type Policy = NonNullable<FaultHandling['global']>;

// etcd3's own policies retry, and open a circuit for all calls after three failures of one: failover is ours.
const direct = { execute: async (run: (context: object) => unknown) => run({}) } as unknown as Policy;

/**
 * Opens a client for one member. `etcd3` serves as a transport only, with one client a member: its pool, watcher and lease
 * lose events and registrations when a member hangs. Rejects with Fault `settings` when a TLS file cannot be read.
 */
export async function openMember(endpoint: string, access: EtcdAccess): Promise<MemberClient> {
  const { credentials, tls } = access;
  const client = new Etcd3({
    hosts: `${tls === undefined ? 'http' : 'https'}://${endpoint}`,
    ...(tls === undefined ? {} : { credentials: await readTls(tls) }),
    ...(credentials === undefined
      ? {}
      : {
          auth: {
            username: credentials.username,
            password: await credentials.readPassword(),
            callOptions: () => ({ deadline: Date.now() + callMs }),
          },
        }),
    faultHandling: { host: () => direct, global: direct },
    defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + callMs }),
    grpcOptions: {
      // A page of large values is larger than grpc's limit of 4 MB, and is lost without an error.
      'grpc.max_receive_message_length': -1,
      // Two clients of one member must not share a connection: one is thrown away while the other works.
      'grpc.use_local_subchannel_pool': 1,
    },
  });
  requireLeader(client);
  return {
    endpoint,
    kv: client.kv,
    lease: client.leaseClient,
    watch: () => client.watchClient.watch(),
    keepAlive: () => client.leaseClient.leaseKeepAlive(),
    close: () => client.close(),
  };
}

type Metadata = { set(key: string, value: string): void };
type Authenticator = { getMetadata(): Promise<Metadata> };

/**
 * Has etcd end streams and refuse calls on a member that lost its leader, instead of leaving them silent. It is asked for
 * by metadata, for which etcd3 has no option: its authenticator is the one place that makes metadata.
 */
function requireLeader(client: Etcd3): void {
  const pool: unknown = Reflect.get(client, 'pool');
  const authenticator = (pool as { authenticator: Authenticator }).authenticator;
  const original = authenticator.getMetadata.bind(authenticator);
  authenticator.getMetadata = async () => {
    const metadata = await original();
    metadata.set('hasleader', 'true');
    return metadata;
  };
}

async function readTls({ caFile, certFile, keyFile }: NonNullable<EtcdAccess['tls']>) {
  const read = async (path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    try {
      return await readFile(path);
    } catch (cause) {
      throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
    }
  };
  const [rootCertificate, certChain, privateKey] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
  // Without a CA of its own etcd3 takes no credentials object as "no TLS"; an empty one means the system's CAs.
  const own = certChain === undefined || privateKey === undefined ? {} : { certChain, privateKey };
  return { rootCertificate: rootCertificate as Buffer, ...own };
}
