import type { Acme, AcmeParts } from '../acme/acme.ts';
import type { ServiceName } from '../model/name.ts';
import { type CertificateRules, hostsForCertificates } from '../render/certificate-hosts.ts';
import type { RouteTable } from '../render/routes.ts';
import { hasWholeService, observingApplied, type ServingObserver } from './observe/serving-observer.ts';
import type { CertificateFolder } from './tls/certificate-folder.ts';

export type CertificateOrdersParts = Omit<AcmeParts, 'hosts'> & {
  /** Undefined before the first round. */
  readonly routes: () => RouteTable | undefined;
  /** The certificates that need no order. */
  readonly folder: () => Pick<CertificateFolder, 'folderServes' | 'wanted'> | undefined;
};

/** Orders the fleet's certificates for the hosts that this balancer serves. Its code is loaded only when it begins. */
export class CertificateOrders {
  readonly #parts: CertificateOrdersParts;
  #acme: Acme | undefined;
  #known:
    | { readonly routes: unknown; readonly wanted: unknown; readonly hosts: ReadonlyMap<string, ServiceName> }
    | undefined;

  constructor(parts: CertificateOrdersParts) {
    this.#parts = parts;
  }

  /** How many hosts certificates are ordered for. */
  get hosts(): number {
    return this.#hosts()?.size ?? 0;
  }

  /** To be called when the services are served. */
  async begin(): Promise<void> {
    const { Acme } = await import('../acme/acme.ts');
    this.#acme = new Acme({ ...this.#parts, hosts: () => this.#hosts() });
    this.#acme.begin();
  }

  /** To be called when the sealing keys may have changed. */
  look(): void {
    this.#acme?.look();
  }

  async close(): Promise<void> {
    await this.#acme?.close();
  }

  /** An observer that looks when services changed, and passes everything on to `other`. */
  observing(other: ServingObserver | undefined): ServingObserver {
    return observingApplied((dirty) => {
      if (hasWholeService(dirty)) this.look();
    }, other);
  }

  #hosts(): ReadonlyMap<string, ServiceName> | undefined {
    const [routes, folder] = [this.#parts.routes(), this.#parts.folder()];
    if (routes === undefined) return undefined;
    const known = this.#known;
    if (known?.routes === routes && known.wanted === folder?.wanted) return known.hosts;
    const rules: CertificateRules = this.#parts.settings;
    const hosts = hostsForCertificates(routes, rules, (host) => folder?.folderServes(host) ?? false);
    this.#known = { routes, wanted: folder?.wanted, hosts };
    return hosts;
  }
}
