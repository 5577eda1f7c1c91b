import type { Acme, AcmeParts } from '../acme/acme.ts';
import { hasWholeService, observingApplied, type ServingObserver } from './observe/serving-observer.ts';

/** Orders the fleet's certificates for the hosts that this balancer serves. Its code is loaded only when it begins. */
export class CertificateOrders {
  readonly #parts: AcmeParts;
  #acme: Acme | undefined;

  constructor(parts: AcmeParts) {
    this.#parts = parts;
  }

  /** To be called when the services are served. */
  async begin(): Promise<void> {
    const { Acme } = await import('../acme/acme.ts');
    this.#acme = new Acme(this.#parts);
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
}
