import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { startPeerNetwork } from './peer-network.ts';
import { freePorts } from './ports.ts';
import { until } from './until.ts';

// A folder of commands, as scripts/debian-root prints one; the machine's own otherwise.
const folder = process.env['ETCD_ROOT'];
const command = (name: string): string => (folder === undefined ? name : join(folder, name));

export type EtcdCluster = Awaited<ReturnType<typeof startEtcd>>;

type MemberPlan = {
  readonly name: string;
  readonly dir: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Where the others reach it: the same, or a proxy before it. */
  readonly advertisedPort: number;
  readonly cluster: string;
  readonly scheme: 'http' | 'https';
  readonly args: readonly string[];
};

export type EtcdOptions = {
  /** More flags for each member, such as those of TLS. */
  readonly args?: readonly string[];
  readonly scheme?: 'http' | 'https';
  /** More flags for etcdctl. */
  readonly ctlArgs?: readonly string[];
  /** Puts a network between the members, from which they can be cut off. */
  readonly partitions?: boolean;
};

/** One real etcd process. Its data stays over stop and start. */
function member({ name, dir, clientPort, peerPort, advertisedPort, cluster, scheme, args }: MemberPlan) {
  const endpoint = `127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  let child: ChildProcess | undefined;
  let output = '';
  return {
    name,
    endpoint,
    clientPort,
    dataDir: join(dir, name),
    /** Where the other members reach it. */
    advertised: `http://127.0.0.1:${advertisedPort}`,
    output: () => output,
    /** Undefined while it does not run. */
    pid: () => child?.pid,
    start(): void {
      const dataDir = join(dir, name);
      child = spawn(
        command('etcd'),
        [
          ...['--name', name, '--data-dir', dataDir, '--log-level', 'error'],
          ...['--listen-client-urls', `${scheme}://${endpoint}`, '--advertise-client-urls', `${scheme}://${endpoint}`],
          ...args,
          ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', `http://127.0.0.1:${advertisedPort}`],
          ...['--initial-cluster', cluster, '--initial-cluster-token', dir],
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', (chunk: Buffer) => {
          output = (output + chunk.toString()).slice(-20_000);
        });
      }
    },
    signal(name: NodeJS.Signals): void {
      child?.kill(name);
    },
    async stop(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
      const ending = child;
      child = undefined;
      if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
      const gone = new Promise((resolve) => ending.once('close', resolve));
      ending.kill('SIGCONT');
      ending.kill(name);
      await gone;
    },
  };
}

type Member = ReturnType<typeof member>;

/** A real cluster of 1 or 3 members on free ports, healthy when this resolves. */
export async function startEtcd(size: 1 | 3 = 1, options: EtcdOptions = {}) {
  const { args = [], scheme = 'http', partitions = false } = options;
  const dir = await mkdtemp(join(tmpdir(), 'pm-etcd-'));
  const ports = await freePorts(size * 2);
  const [clientPorts, peerPorts] = [ports.slice(0, size), ports.slice(size)];
  const network = partitions ? await startPeerNetwork(peerPorts) : undefined;
  const plans = Array.from({ length: size }, (_, i) => ({
    name: `m${i}`,
    clientPort: clientPorts[i] ?? 0,
    peerPort: peerPorts[i] ?? 0,
    advertisedPort: (network?.ports ?? peerPorts)[i] ?? 0,
  }));
  const cluster = plans.map(({ name, advertisedPort }) => `${name}=http://127.0.0.1:${advertisedPort}`).join(',');
  const members = plans.map((plan) => member({ ...plan, dir, cluster, scheme, args }));
  const endpoints = members.map(({ endpoint }) => endpoint);
  const questions = questionsTo(members, options);
  const { ctl, healthy } = questions;
  for (const one of members) one.start();
  await healthy();
  const ids = network === undefined ? undefined : await readIds(ctl);
  network?.know(new Map(plans.map(({ name, peerPort }) => [peerPort, ids?.get(name) ?? ''])));
  return {
    members,
    endpoints,
    location: `${scheme === 'https' ? 'etcds' : 'etcd'}://${endpoints.join(',')}`,
    ...questions,
    ...replacements(plans, members, { dir, cluster, options, healthy }),
    /** Cuts these members off from the others. Without any: all members reach each other again. */
    isolate(...which: readonly { readonly name: string }[]): void {
      if (network === undefined) throw new Error('start it with `partitions`');
      network.isolate(...which.map(({ name }) => ids?.get(name) ?? ''));
    },
    async close(): Promise<void> {
      await Promise.all(members.map((one) => one.stop()));
      await network?.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    },
  };
}

/** The members' ids in hexadecimal, by name. In `-w json` they are numbers that JSON.parse would round. */
async function readIds(ctl: (...args: readonly string[]) => Promise<string>): Promise<ReadonlyMap<string, string>> {
  const lines = (await ctl('member', 'list')).split('\n').map((line) => line.split(', '));
  return new Map(lines.map(([id = '', , name = '']) => [name, id]));
}

const etcdctl = async (args: readonly string[]): Promise<string> =>
  (await execa(command('etcdctl'), args, { env: { ETCDCTL_API: '3' }, timeout: 10_000 })).stdout;

/** Questions to a cluster by etcdctl. */
function questionsTo(members: readonly Member[], { scheme = 'http', ctlArgs = [] }: EtcdOptions) {
  const urls = members.map(({ endpoint }) => `${scheme}://${endpoint}`).join(',');
  const ctl = (...args: readonly string[]) =>
    etcdctl([`--endpoints=${urls}`, '--dial-timeout=2s', ...ctlArgs, ...args]);
  const revisionNow = async (): Promise<bigint> => {
    const { header } = JSON.parse(await ctl('get', 'x', '-w', 'json')) as { header: { revision: number } };
    return BigInt(header.revision);
  };
  return {
    /** Runs etcdctl against all members and gives what it printed. */
    ctl,
    healthy: () =>
      until('etcd is healthy', async () => (await ctl('endpoint', 'health')) !== undefined, {
        deadlineMs: 30_000,
        everyMs: 50,
      }),
    /** The member that leads. */
    async leader(): Promise<Member> {
      const status = JSON.parse(await ctl('endpoint', 'status', '-w', 'json')) as {
        Endpoint: string;
        Status: { header: { member_id: number }; leader: number };
      }[];
      const found = status.find(({ Status }) => Status.header.member_id === Status.leader);
      const leading = members.find(({ endpoint }) => found?.Endpoint.endsWith(endpoint));
      if (leading === undefined) throw new Error('there is no leader now');
      return leading;
    },
    /** Removes what was superseded before this revision, or before now. Gives the revision. */
    async compact(revision?: bigint): Promise<bigint> {
      const at = revision ?? (await revisionNow());
      await ctl('compaction', '--physical', String(at));
      return at;
    },
  };
}

type Replaced = {
  readonly dir: string;
  readonly cluster: string;
  readonly options: EtcdOptions;
  readonly healthy: () => Promise<unknown>;
};

/** Other clusters behind the same addresses. */
function replacements(
  plans: readonly Pick<MemberPlan, 'name' | 'advertisedPort'>[],
  members: readonly Member[],
  { dir, cluster, options: { scheme = 'http', ctlArgs = [] }, healthy }: Replaced,
) {
  /** Starts all members with other data. */
  const replace = async (makeData: (plan: (typeof plans)[number]) => Promise<unknown>): Promise<void> => {
    await Promise.all(members.map((one) => one.stop()));
    for (const plan of plans) {
      await rm(join(dir, plan.name), { recursive: true, force: true });
      await makeData(plan);
    }
    for (const one of members) one.start();
    await healthy();
  };
  return {
    /** A new cluster with no data. */
    wipe: () => replace(async () => undefined),
    /** Saves everything that the first member has to a file. */
    async snapshot(): Promise<string> {
      const file = join(dir, 'snapshot.db');
      await etcdctl([`--endpoints=${scheme}://${members[0]?.endpoint}`, ...ctlArgs, 'snapshot', 'save', file]);
      return file;
    },
    /**
     * A new cluster that begins with what a snapshot holds; with `sameId` it cannot be told from the one before by its id,
     * because it has the token of that one.
     */
    restore: (file: string, { sameId = false } = {}) =>
      replace(({ name, advertisedPort }) =>
        etcdctl([
          ...['snapshot', 'restore', file, '--name', name, '--data-dir', join(dir, name)],
          ...['--initial-cluster', cluster, '--initial-cluster-token', sameId ? dir : `${dir}-restored`],
          ...['--initial-advertise-peer-urls', `http://127.0.0.1:${advertisedPort}`],
        ]),
      ),
  };
}
