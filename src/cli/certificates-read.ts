import * as v from 'valibot';
import { leaderKey } from '../model/acme/keys.ts';
import { describe } from '../model/fault.ts';
import { type AskingHosts, type ListedCertificate, listCertificates } from '../operate/certificate-list.ts';
import type { Entry } from '../registry/registry.ts';
import { askAdmin, type KnownBalancer } from './balancers.ts';

/** The certificates of all hosts, as the registry and the balancers that can be asked know them. */
export type Certificates = {
  readonly list: readonly ListedCertificate[];
  /** Whether a balancer orders certificates now. */
  readonly hasLeader: boolean;
  /** Why the list may lack hosts and services; undefined: a balancer said which hosts ask for certificates. */
  readonly unasked: string | undefined;
};

const answer = v.object({
  asking: v.optional(
    v.object({
      hosts: v.array(v.object({ host: v.string(), service: v.string(), obstacle: v.optional(v.string()) })),
      folder: v.array(v.object({ name: v.string(), names: v.array(v.string()), notAfter: v.string() })),
    }),
  ),
});

/** Asks the balancers which hosts ask for certificates. `entries` are at least those that the list is made of. */
export async function readCertificates(
  entries: readonly Entry[],
  balancers: readonly KnownBalancer[],
  now: number,
): Promise<Certificates> {
  const answers = await Promise.all(balancers.map(ask));
  const said = answers.flatMap((one) => (typeof one === 'string' || one === undefined ? [] : [one]));
  const asking: AskingHosts | undefined =
    said.length === 0
      ? undefined
      : {
          hosts: [...new Map(said.flatMap(({ hosts }) => hosts).map((one) => [one.host, one])).values()],
          folder: [...new Map(said.flatMap(({ folder }) => folder).map((one) => [one.name, one])).values()],
        };
  return {
    list: listCertificates(entries, asking, now),
    hasLeader: entries.some(({ key }) => key === leaderKey),
    unasked: asking === undefined ? whyUnasked(balancers, answers) : undefined,
  };
}

/** What a balancer says; undefined: it orders no certificates; a text: why it was not asked. */
async function ask({ id, admin }: KnownBalancer): Promise<AskingHosts | string | undefined> {
  if ('reason' in admin) return `${id}: ${admin.reason}`;
  try {
    return v.parse(answer, await askAdmin(admin.at, '/certificates')).asking;
  } catch (error) {
    return `${id}: its admin port ${admin.at} does not say which hosts ask for certificates: ${describe(error)}`;
  }
}

function whyUnasked(balancers: readonly KnownBalancer[], answers: readonly unknown[]): string {
  if (balancers.length === 0) return 'no balancer is known to the registry, nor runs here';
  const reasons = answers.filter((one) => typeof one === 'string');
  return reasons.length > 0 ? reasons.join('; ') : 'no balancer runs with --acme';
}
