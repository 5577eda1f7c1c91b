import type { Service } from '../../catalog/service.ts';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId } from '../../model/name.ts';
import type { ServerCheck } from '../../model/policy/check.ts';
import { certificateFile } from '../../render/policy-view.ts';
export type ServerPlace = {
  readonly host: string;
  readonly port: number;
  readonly proxyProtocol: 'v1' | 'v2' | undefined;
  readonly tls:
    | {
        readonly name: string | undefined;
        /** The authority that has to have signed the server's certificate; `file` is a path. Undefined: it is not verified. */
        readonly authority: { readonly kind: 'system' } | { readonly kind: 'file'; readonly file: string } | undefined;
        readonly certificate: string | undefined;
        readonly protocol: 'h1' | 'h2';
      }
    | undefined;
};

export type ServerTarget = {
  readonly place: ServerPlace;
  readonly protocol: 'h1' | 'h2';
  readonly service: string;
  readonly check: Exclude<ServerCheck, { kind: 'none' }>;
};

/** The check that HAProxy would make of this instance; undefined when its policy has none. */
export function serverTarget(
  { name, policy }: Pick<Service, 'name' | 'policy'>,
  { address }: Instance,
  pemFolder: string,
): ServerTarget | undefined {
  const { check, protocol, tls, proxyProtocol } = policy;
  if (check.kind === 'none') return undefined;
  const beside = check.port !== undefined;
  const place: ServerPlace = {
    host: address.host,
    port: check.port ?? address.port,
    proxyProtocol: beside ? undefined : proxyProtocol,
    tls:
      beside || tls === undefined
        ? undefined
        : {
            name: tls.name ?? (tls.authority && name.toLowerCase()),
            authority:
              tls.authority?.kind === 'file'
                ? { kind: 'file', file: `${pemFolder}/${tls.authority.file}` }
                : tls.authority,
            certificate: certificateFile(tls, pemFolder),
            protocol,
          },
  };
  return { place, protocol: beside ? 'h1' : protocol, service: name, check };
}

/**
 * Whether the process that registered an instance has checked it before, at least as thoroughly as the policy's check: a connection
 * does not prove that the instance answers requests.
 */
export function vouches({ policy, instances }: Pick<Service, 'policy' | 'instances'>, id: InstanceId): boolean {
  const checked = instances.get(id)?.checked;
  if (checked === undefined) return false;
  return policy.check.kind === 'tcp' || policy.check.kind === 'none' || checked !== 'tcp';
}
