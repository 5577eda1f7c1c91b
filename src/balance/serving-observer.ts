import type { Catalog } from '../catalog/catalog.ts';
import type { Refusal } from '../fleet/acknowledgement.ts';
import type { Touched } from '../model/touched.ts';

/** Told what HAProxy serves, as it comes to serve it. */
export interface ServingObserver {
  /** HAProxy was given what was touched. */
  took(touched: Touched, catalog: Catalog): void;
  /** This worker of HAProxy serves this catalog, but for what is refused; nothing more can be done for it now. */
  settled(catalog: Catalog, refused: readonly Refusal[], workerPid: number): void;
}
