import type { Address } from '../model/address.ts';

/** What an operator sets for a balancer. */
export type BalanceSettings = {
  /** This balancer's name in the fleet. */
  readonly id: string;
  readonly dir: string;
  /** Where HAProxy serves HTTP. */
  readonly http: Address;
  /** Where pointsman serves metrics and health. */
  readonly admin: Address;
  /** A folder with own templates; the shipped ones stand in for those that it does not have. */
  readonly templates: string | undefined;
  readonly haproxy: string | undefined;
  /** Reloads are at least this far apart, in ms; the first is immediate. */
  readonly reloadIntervalMs: number;
  /** How long an old worker may finish its connections after a reload, in ms. */
  readonly hardStopAfterMs: number;
};
