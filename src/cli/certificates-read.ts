import * as v from 'valibot';
import { certificateRefusals, mergeRefusals } from '../fleet/certificate-refusals.ts';
import { leaderKey } from '../model/acme/keys.ts';
import type { Address } from '../model/address.ts';
import { describe } from '../model/fault.ts';
import { type AskingHosts, type ListedCertificate, listCertificates } from '../operate/certificate-list.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import { askAdmin, type KnownBalancer, type lookForBalancers } from './balancers.ts';

/** The certificates of all hosts, as the registry and the balancers that can be asked know them. */
export type Certificates = {
  readonly list: readonly ListedCertificate[];
  /** Whether a balancer orders certificates now. */
  readonly hasLeader: boolean;
  /** Why the list may lack hosts and services; undefined: a balancer said which hosts ask for certificates. */
  readonly unasked: string | undefined;
  /** Whether the list has all hosts that ask: every balancer said which ones do, or one with --acme. */
  readonly isComplete: boolean;
};

/** What `/certificates` says. An older balancer has no `refused`, and says nothing where it has no `--acme`. */
const answer = v.object({
  acme: v.optional(v.boolean(), false),
  refused: v.optional(v.array(v.object({ balancer: v.string(), host: v.string(), reason: v.string() }))),
  asking: v.optional(
    v.object({
      hosts: v.array(v.object({ host: v.string(), service: v.string(), obstacle: v.optional(v.string()) })),
      folder: v.array(v.object({ name: v.string(), names: v.array(v.string()), notAfter: v.string() })),
    }),
  ),
});

type Answer = v.InferOutput<typeof answer>;

const areas = ['balancers/', 'certificates/', 'acme/'];

export type CertificatesQuery = {
  /** Where a balancer of this machine may answer. */
  readonly admin: Address;
  /** The root of the tree. */
  readonly root: string | undefined;
  /** With a word for a person who waits, or without. */
  readonly findBalancers: typeof lookForBalancers;
};

/** Reads what the registry has of certificates, and asks the balancers. Rejects with the Fault of the registry. */
export async function readAllCertificates(
  registry: Pick<Registry, 'read'>,
  { admin, root, findBalancers }: CertificatesQuery,
  signal?: AbortSignal,
): Promise<Certificates> {
  const read = await Promise.all(areas.map((area) => registry.read(area, signal)));
  const entries = read.flatMap((one) => one.entries);
  const { balancers } = await findBalancers(
    entries.filter(({ key }) => key.startsWith('balancers/')),
    admin,
    { cluster: read[0]?.cluster, root },
  );
  return readCertificates(entries, balancers, Date.now());
}

/** Asks the balancers which hosts ask for certificates. `entries` has all keys of `balancers/`, `certificates/` and `acme/`. */
export async function readCertificates(
  entries: readonly Entry[],
  balancers: readonly KnownBalancer[],
  now: number,
): Promise<Certificates> {
  const answers = await Promise.all(balancers.map(ask));
  const said = answers.flatMap((one) => (typeof one === 'string' ? [] : [one]));
  const asked = said.flatMap(({ asking }) => asking ?? []);
  const hasLeader = entries.some(({ key }) => key === leaderKey);
  const asking = asked.length === 0 ? undefined : together(asked, hasLeader);
  const known = said.flatMap(({ id, refused }) => (refused === undefined ? [] : [[id, refused] as const]));
  const refusals = mergeRefusals(certificateRefusals(entries), new Map(known));
  return {
    list: listCertificates(entries, asking, now, refusals),
    hasLeader,
    unasked: asking === undefined ? whyUnasked(balancers, answers) : undefined,
    isComplete: (said.length > 0 && said.length === answers.length) || said.some(({ acme }) => acme),
  };
}

/** What several balancers say. One without `--acme` does not know whether another one, which cannot be asked from here, orders. */
function together(said: readonly AskingHosts[], hasLeader: boolean): AskingHosts {
  const hosts = new Map<string, AskingHosts['hosts'][number]>();
  for (const one of said.flatMap((asking) => asking.hosts)) {
    const known = hosts.get(one.host);
    if (known === undefined || known.obstacle === 'no-acme') hosts.set(one.host, one);
  }
  const ordered = [...hosts.values()].map((one) =>
    hasLeader && one.obstacle === 'no-acme' ? { ...one, obstacle: undefined } : one,
  );
  return {
    hosts: ordered,
    folder: [...new Map(said.flatMap(({ folder }) => folder).map((one) => [one.name, one])).values()],
  };
}

/** What a balancer says; a text: why it was not asked. */
async function ask({ id, admin }: KnownBalancer): Promise<(Answer & { readonly id: string }) | string> {
  if ('reason' in admin) return `${id}: ${admin.reason}`;
  try {
    return { ...v.parse(answer, await askAdmin(admin.at, '/certificates')), id };
  } catch (error) {
    return `${id}: its admin port ${admin.at} does not say which hosts ask for certificates: ${describe(error)}`;
  }
}

function whyUnasked(balancers: readonly KnownBalancer[], answers: readonly unknown[]): string {
  if (balancers.length === 0) return 'no balancer is known to the registry, nor runs here';
  const reasons = answers.filter((one) => typeof one === 'string');
  return reasons.length > 0 ? reasons.join('; ') : 'no balancer runs with --acme';
}
