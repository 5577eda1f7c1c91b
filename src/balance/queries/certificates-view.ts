import type { Refusal } from '../../fleet/acknowledgement.ts';
import {
  type CertificateRefusal,
  certificateRefusals,
  mergeRefusals,
  refusedHosts,
} from '../../fleet/certificate-refusals.ts';
import { describe } from '../../model/fault.ts';
import { type AskingHosts, type ListedCertificate, listCertificates } from '../../operate/certificate-list.ts';
import type { Entry, Registry } from '../../registry/registry.ts';
import { timeLimit } from '../../waiting/time-limit.ts';

/** What a balancer itself knows about certificates. */
export type OwnCertificates = {
  /** Whether it has `--acme`. */
  readonly acme: boolean;
  /** Undefined: it has no `--acme`, and no host asks. */
  readonly asking: AskingHosts | undefined;
  /** What it does not serve of the registry. */
  readonly refused: readonly Refusal[];
};

/** The certificates of all hosts. */
export type CertificatesView = Pick<OwnCertificates, 'acme' | 'asking'> & {
  /** What this balancer does not serve of the registry. */
  readonly refused: readonly CertificateRefusal[];
  readonly list: readonly ListedCertificate[];
  /** Why the registry could not be read: the list then has only what this balancer itself knows. */
  readonly unread: string | undefined;
};

const readMs = 1500;
const areas = ['certificates/', 'acme/orders/', 'acme/renewals/', 'balancers/'];

/** The list as the registry and this balancer, `id`, know it. Reads nothing where no certificates are ordered. */
export async function readCertificates(
  registry: Pick<Registry, 'read'> | undefined,
  id: string,
  own: OwnCertificates,
  wall: number,
): Promise<CertificatesView> {
  const refused = refusedHosts(id, own.refused);
  const known = { ...own, refused };
  const list = (entries: readonly Entry[]) => {
    const refusals = mergeRefusals(certificateRefusals(entries), new Map([[id, refused]]));
    return listCertificates(entries, own.asking, wall, refusals);
  };
  if (registry === undefined || own.asking === undefined) return { ...known, list: list([]), unread: undefined };
  try {
    const read = await Promise.all(areas.map((area) => registry.read(area, timeLimit(readMs))));
    return { ...known, list: list(read.flatMap(({ entries }) => entries)), unread: undefined };
  } catch (error) {
    return { ...known, list: list([]), unread: describe(error) };
  }
}
