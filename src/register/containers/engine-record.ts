import { Connection } from '../connection.ts';

/** Remembers how well an engine could be followed: for metrics and readiness. */
export class EngineRecord extends Connection {
  #missed = 0;

  /** As many containers came or went without an event. */
  addMissed(containers: number): void {
    this.#missed += containers;
  }

  /** How many containers came or went without an event. */
  get missed(): number {
    return this.#missed;
  }
}
