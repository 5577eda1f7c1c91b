import type { Service } from '../catalog/service.ts';
import { allowsCertificate } from '../model/claim.ts';

/** The certificate that the policy has the balancer show to servers, if no claim lets the service have it. */
export function refusedCertificate({ name, policy, claim }: Pick<Service, 'name' | 'policy' | 'claim'>) {
  const file = policy.tls?.certificate;
  return file === undefined || allowsCertificate(claim, name, file) ? undefined : file;
}

/** The service without a certificate that no claim lets it have. */
export function withOwnCertificate(service: Service): Service {
  const { policy } = service;
  if (policy.tls === undefined || refusedCertificate(service) === undefined) return service;
  return { ...service, policy: { ...policy, tls: { ...policy.tls, certificate: undefined } } };
}
