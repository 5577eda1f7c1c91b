import { describeFailedCheck } from '../../haproxy/failed-check.ts';
import type { HealthChange } from '../../haproxy/health-change.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import { instanceKey } from '../../model/key.ts';
import type { LogAndClock } from './log-and-clock.ts';

/** Logs the instances that HAProxy finds down and up again: at most 20 lines in 10 s, and then how many more there were. */
export class HealthLog {
  readonly #log: LimitedLog;

  constructor({ logger, now }: LogAndClock) {
    this.#log = new LimitedLog(logger, now, 'further-health-changes');
  }

  tell({ to, service, id, result }: HealthChange): void {
    const key = instanceKey(service, id);
    const name = `${service}/${id}`;
    if (to === 'up') {
      this.#log.info({ event: 'server-up', key, ...(result === undefined ? {} : { result }) }, `${name} is up again`);
      return;
    }
    const reason = result === undefined ? 'HAProxy gives no reason' : describeFailedCheck(result);
    this.#log.warn({ event: 'server-down', key, reason, result }, `${name} is down: ${reason}`);
  }

  close(): void {
    this.#log.close();
  }
}
