import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { onTestFinished } from 'vitest';
import { leaderKey } from '../../src/model/acme/keys.ts';
import { startApps } from './app.ts';
import { startBalancers } from './balancers.ts';
import { type PebbleOptions, startPebble } from './pebble.ts';
import { freePorts } from './ports.ts';
import { runPointsman } from './processes.ts';
import type { RegistryKind } from './scenario.ts';
import { until } from './until.ts';

export type FleetOptions = {
  readonly registry?: RegistryKind;
  readonly pebble?: PebbleOptions;
  /** More flags for each balancer. */
  readonly flags?: readonly string[];
};

export type AcmeBalancer = Awaited<ReturnType<AcmeFleet['balancer']>>;
export type AcmeFleet = Awaited<ReturnType<typeof startAcmeFleet>>;

/** A registry, a real authority, an application, and any number of balancers that order certificates. */
export async function startAcmeFleet({ registry = 'etcd', pebble: wanted = {}, flags = [] }: FleetOptions = {}) {
  const pebble = await startPebble(wanted);
  onTestFinished(() => pebble.close());
  const balancers = await startBalancers(registry);
  const [app = ''] = await startApps('app');
  const sealingKeys = join(balancers.dir, 'sealing-keys');
  await writeFile(sealingKeys, `${randomBytes(32).toString('base64')}\n`);
  const running: { readonly id: string; readonly http: number }[] = [];
  const askThem = () => pebble.validators.ask(...running.map(({ http }) => http));
  return {
    ...balancers,
    pebble,
    app,
    sealingKeys,
    /** Starts one that serves, and that the authority asks from now on. */
    async balancer(id: string, ...more: readonly string[]) {
      const [https = 0] = await freePorts(1);
      const acme = [...pebble.flags, '--acme-email', 'ops@example.com', '--sealing-keys', sealingKeys];
      const one = await balancers.balancerNamed(id, ...['--https', `127.0.0.1:${https}`, ...acme, ...flags, ...more]);
      await one.process.logged('serving');
      running.push(one);
      askThem();
      return {
        ...one,
        https,
        /** Kills it without a word; the authority does not ask it any more. */
        async kill(): Promise<void> {
          running.splice(running.indexOf(one), 1);
          askThem();
          await one.process.destroy();
        },
        certificateOf: (host: string) => certificateOf(https, host),
      };
    },
    /** Writes a service with these hosts, whose certificates are ordered, and one instance. */
    async declare(service: string, hosts: readonly string[], policy: Readonly<Record<string, unknown>> = {}) {
      await balancers.registry.write(
        `services/${service}`,
        JSON.stringify({ hosts, https: { certificate: 'auto', redirect: true }, ...policy }),
      );
      await balancers.registry.write(`instances/${service}/a`, app);
    },
    /** The id of the balancer that orders. */
    leader: (): Promise<string> =>
      until('a balancer leads', async () => {
        const value = (await entries(balancers)).get(leaderKey);
        return value === undefined ? undefined : running.find(({ id }) => value.includes(id))?.id;
      }),
    /** All entries as they are in the registry now. */
    entries: () => entries(balancers),
    /** Runs a command of an operator. */
    command: (...args: readonly string[]) => {
      const [command = '', ...rest] = args;
      return runPointsman([command, '--registry', balancers.location, ...rest]);
    },
  };
}

type Balancers = Awaited<ReturnType<typeof startBalancers>>;

async function entries({ etcd, dir }: Balancers): Promise<ReadonlyMap<string, string>> {
  if (etcd !== undefined) {
    const { kvs = [] } = JSON.parse(await etcd.ctl('get', '--prefix', '/pointsman/', '-w', 'json')) as {
      kvs?: { key: string; value?: string }[];
    };
    const text = (base64 = '') => Buffer.from(base64, 'base64').toString();
    return new Map(kvs.map(({ key, value }) => [text(key).slice('/pointsman/'.length), text(value)]));
  }
  const root = join(dir, 'registry');
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  const files = found.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return new Map(
    await Promise.all(files.map(async (path) => [path.slice(root.length + 1), await readFile(path, 'utf8')] as const)),
  );
}

/** The certificate that is given to one who asks for this name; undefined when the handshake is refused. */
export function certificateOf(port: number, servername: string): Promise<PeerCertificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', () => resolve(undefined)).setTimeout(5000, () => socket.destroy(new Error('no handshake')));
  });
}

/** Starts three of them. */
export async function startThree(fleet: AcmeFleet) {
  const [one, two, three] = await Promise.all(['lb-1', 'lb-2', 'lb-3'].map((id) => fleet.balancer(id)));
  if (one === undefined || two === undefined || three === undefined) throw new Error('three were started');
  return [one, two, three] as const;
}

/** Resolves when every one of these serves the same certificate for the host, with this name in it. Gives its fingerprint. */
export function untilServed(
  balancers: readonly Pick<AcmeBalancer, 'certificateOf'>[],
  host: string,
  name = host,
): Promise<string> {
  return until(
    `every balancer serves the certificate of ${host}`,
    async () => {
      const found = await Promise.all(balancers.map((one) => one.certificateOf(host)));
      const [first] = found;
      const names = first?.subjectaltname?.split(', ') ?? [];
      const same = found.every((one) => one?.fingerprint256 === first?.fingerprint256);
      return names.includes(`DNS:${name}`) && same ? first?.fingerprint256 : undefined;
    },
    { deadlineMs: 60_000 },
  );
}
