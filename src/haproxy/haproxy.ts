import type { Checked } from './check.ts';
import type { Processes } from './master.ts';

/** The HAProxy that a balancer keeps true, whoever runs it. */
export interface Haproxy {
  /** Whether it would load this file. */
  check(file: string): Promise<Checked>;
  /** What runs already, from before; undefined when nothing does. */
  findRunning(): Promise<Processes | undefined>;
  /** Has it serve the file on disk, from nothing. Rejects with Fault `address-in-use` or `haproxy-start`. */
  start(): Promise<Processes>;
  /** What runs now; undefined while nothing answers. */
  processes(): Promise<Processes | undefined>;
  /** A hot reload of the file on disk. Rejects with Fault `haproxy-reload`; the old worker then still serves. */
  reload(): Promise<Processes>;
  /** Lets go of it. One of ours ends, after its open requests (at most `graceMs`). */
  stop(graceMs: number): Promise<void>;
}
