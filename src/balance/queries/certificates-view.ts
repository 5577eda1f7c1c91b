import { describe } from '../../model/fault.ts';
import { type AskingHosts, type ListedCertificate, listCertificates } from '../../operate/certificate-list.ts';
import type { Entry, Registry } from '../../registry/registry.ts';
import { timeLimit } from '../../waiting/time-limit.ts';

/** The certificates of all hosts. */
export type CertificatesView = {
  /** What this balancer itself knows; undefined: it orders no certificates. */
  readonly asking: AskingHosts | undefined;
  readonly list: readonly ListedCertificate[];
  /** Why the registry could not be read: the list then has only what this balancer itself knows. */
  readonly unread: string | undefined;
};

const readMs = 1500;

/** The list as the registry and this balancer know it. Reads nothing where no certificates are ordered. */
export async function readCertificates(
  registry: Pick<Registry, 'read'> | undefined,
  asking: AskingHosts | undefined,
  wall: number,
): Promise<CertificatesView> {
  if (registry === undefined || asking === undefined) {
    return { asking, list: listCertificates([], asking, wall), unread: undefined };
  }
  const list = (entries: readonly Entry[]) => listCertificates(entries, asking, wall);
  try {
    const areas = ['certificates/', 'acme/orders/', 'acme/renewals/'];
    const read = await Promise.all(areas.map((area) => registry.read(area, timeLimit(readMs))));
    return { asking, list: list(read.flatMap(({ entries }) => entries)), unread: undefined };
  } catch (error) {
    return { asking, list: list([]), unread: describe(error) };
  }
}
