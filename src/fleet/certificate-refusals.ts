import { hostOfCertificate } from '../model/acme/keys.ts';
import type { Entry } from '../registry/registry.ts';
import { balancerOf, parseAcknowledgement, type Refusal } from './acknowledgement.ts';

/** A certificate of the registry that a balancer does not serve. */
export type CertificateRefusal = { readonly balancer: string; readonly host: string; readonly reason: string };

/** The certificates among what a balancer refuses. */
export const refusedHosts = (balancer: string, refusals: readonly Refusal[]): readonly CertificateRefusal[] =>
  refusals.flatMap(({ key, reason }) => {
    const host = hostOfCertificate(key);
    return host === undefined ? [] : [{ balancer, host, reason }];
  });

/** What the balancers refuse, as their acknowledgements say it: those name some of many. Other entries are left out. */
export function certificateRefusals(entries: Iterable<Pick<Entry, 'key' | 'value'>>): readonly CertificateRefusal[] {
  return [...entries].flatMap(({ key, value }) => {
    const balancer = balancerOf(key);
    const says = balancer === undefined ? undefined : parseAcknowledgement(value);
    return balancer !== undefined && says?.ok === true ? refusedHosts(balancer, says.value.refusals) : [];
  });
}

/** One list of both. What a balancer itself was asked for counts instead of what its acknowledgement says. */
export function mergeRefusals(
  acknowledged: readonly CertificateRefusal[],
  asked: ReadonlyMap<string, readonly CertificateRefusal[]>,
): readonly CertificateRefusal[] {
  return [...acknowledged.filter(({ balancer }) => !asked.has(balancer)), ...[...asked.values()].flat()];
}
