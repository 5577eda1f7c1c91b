import type { ServiceName } from '../model/name.ts';
import type { AskingHosts } from '../operate/certificate-list.ts';
import {
  type CertificateHost,
  type CertificateRules,
  certificateHosts,
  hostsForCertificates,
} from '../render/certificate-hosts.ts';
import type { RouteTable } from '../render/routes.ts';
import type { Certificates } from './tls/certificates.ts';

export type CertificateDemandParts = {
  /** Undefined: this balancer has no `--acme`. */
  readonly rules: CertificateRules | undefined;
  /** Undefined before the first round. */
  readonly routes: () => RouteTable | undefined;
  /** Undefined where HAProxy serves no HTTPS. */
  readonly certificates: () => Pick<Certificates, 'folder' | 'status'> | undefined;
};

type Known = {
  readonly routes: unknown;
  readonly wanted: unknown;
  readonly hosts: readonly CertificateHost[];
  readonly ordered: ReadonlyMap<string, ServiceName>;
};

/** The hosts that ask for certificates, computed again only when routes or certificates change. */
export class CertificateDemand {
  readonly #parts: CertificateDemandParts;
  #known: Known | undefined;

  constructor(parts: CertificateDemandParts) {
    this.#parts = parts;
  }

  /** The hosts that certificates are ordered for, each with its service; undefined before the first round. */
  get ordered(): ReadonlyMap<string, ServiceName> | undefined {
    return this.#look()?.ordered;
  }

  /** How many hosts certificates are ordered for, or would be by a balancer with `--acme`. */
  get size(): number {
    const hosts = this.#look()?.hosts ?? [];
    return hosts.filter(({ obstacle }) => obstacle === undefined || obstacle === 'no-acme').length;
  }

  /** What this balancer says to people; undefined: it has no `--acme`, and no host asks. */
  asking(): AskingHosts | undefined {
    const { rules, certificates } = this.#parts;
    const hosts = this.#look()?.hosts;
    if (hosts === undefined || (rules === undefined && hosts.length === 0)) return undefined;
    return { hosts, folder: (certificates()?.status() ?? []).filter(({ source }) => source === 'folder') };
  }

  #look(): Known | undefined {
    const { rules } = this.#parts;
    const [routes, folder] = [this.#parts.routes(), this.#parts.certificates()?.folder];
    if (routes === undefined) return undefined;
    if (this.#known?.routes === routes && this.#known.wanted === folder?.wanted) return this.#known;
    const hosts = certificateHosts(routes, rules, (host) => folder?.folderServes(host) ?? false);
    this.#known = { routes, wanted: folder?.wanted, hosts, ordered: hostsForCertificates(hosts) };
    return this.#known;
  }
}
