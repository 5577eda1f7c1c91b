import type { MakeMetric } from '../../metrics/make-metric.ts';
import type { LogAndClock } from './log-and-clock.ts';

export const troubleMetrics = ({ gauge }: MakeMetric) => ({
  trouble: gauge('trouble', '1 while this part of the balancer fails; docs/runbook.md has the parts.', ['part']),
});

/** Every part of a balancer that can fail, with the meaning of its failure. docs/runbook.md has a row for each. */
export const troubleParts = {
  haproxy: { blocks: true, means: 'HAProxy ended and does not start again' },
  inspection: { blocks: true, means: 'pointsman cannot read the state of HAProxy' },
  rounds: { blocks: true, means: 'pointsman cannot apply changes to HAProxy' },
  reload: { blocks: true, means: 'a necessary reload fails or waits for the disk' },
  configuration: { blocks: true, means: 'HAProxy runs another configuration than pointsman wrote' },
  waiting: { blocks: true, means: 'a change has waited too long' },
  burial: { blocks: false, means: 'pointsman cannot delete servers that left' },
  probe: { blocks: false, means: 'pointsman cannot try services in quarantine again' },
  template: { blocks: false, means: 'a template was refused; the last good one is in use' },
  certificates: { blocks: false, means: 'HAProxy does not serve the present certificates' },
  'certificate-orders': { blocks: false, means: 'this balancer cannot order certificates' },
  'server-tls': { blocks: false, means: 'HAProxy does not use the present files for TLS to servers' },
  secrets: { blocks: false, means: 'a file of users or keys is missing or cannot be used' },
  'error-pages': { blocks: false, means: 'a page for errors is gone or cannot be served' },
  'haproxy-version': { blocks: false, means: 'HAProxy runs another version than the configured one' },
  'open-files': { blocks: false, means: 'the limit of open files is too small for the instances' },
  'reload-pace': { blocks: false, means: 'changes of services that needed many reloads wait' },
  'check-pace': { blocks: false, means: 'health checks are less frequent than policies say' },
  'old-workers': { blocks: false, means: 'many workers of earlier reloads still run' },
  storage: { blocks: false, means: 'pointsman cannot write its state to disk' },
  acknowledgement: { blocks: false, means: 'this balancer cannot acknowledge what it serves' },
} as const satisfies Readonly<Record<string, { readonly blocks: boolean; readonly means: string }>>;

export type TroublePart = keyof typeof troubleParts;

/** A part that fails now, for `/status`, `/readyz`, the page and `pointsman status`. */
export type TroubleStatus = {
  readonly part: TroublePart;
  readonly means: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** The number of failures since then. */
  readonly failures: number;
  /** Whether the balancer applies no changes while it lasts, and is not ready. */
  readonly blocks: boolean;
};

export type TroublesParts = LogAndClock & {
  readonly metrics: ReturnType<typeof troubleMetrics>;
};

/** A round that fails once, for example during somebody else's reload, succeeds within this time. */
const notReadyAfterMs = 2000;

/** The parts that fail now. Readiness, status, page and metric use this one list. Logs the begin and the end of each trouble. */
export class Troubles {
  readonly #parts: TroublesParts;
  readonly #failing = new Map<TroublePart, { reason: string; failures: number; readonly since: number }>();

  constructor(parts: TroublesParts) {
    this.#parts = parts;
    for (const part of Object.keys(troubleParts)) parts.metrics.trouble.set({ part }, 0);
  }

  failed(part: TroublePart, reason: string): void {
    const known = this.#failing.get(part);
    if (known !== undefined) {
      known.reason = reason;
      known.failures += 1;
      return;
    }
    const { metrics, logger, now } = this.#parts;
    this.#failing.set(part, { reason, failures: 1, since: now() });
    metrics.trouble.set({ part }, 1);
    logger.warn({ event: 'trouble', part, reason }, `${troubleParts[part].means}: ${reason}`);
  }
  over(part: TroublePart): void {
    const known = this.#failing.get(part);
    if (known === undefined) return;
    const { metrics, logger, now } = this.#parts;
    this.#failing.delete(part);
    metrics.trouble.set({ part }, 0);
    const seconds = Math.round((now() - known.since) / 1000);
    logger.info({ event: 'trouble-over', part, seconds }, `over after ${seconds} s: ${troubleParts[part].means}`);
  }

  /** For a part that does not report itself: the reason why it fails, or undefined. */
  is(part: TroublePart, reason: string | undefined): void {
    const known = this.#failing.get(part);
    if (reason === undefined) this.over(part);
    else if (known === undefined) this.failed(part, reason);
    else known.reason = reason;
  }

  status(): readonly TroubleStatus[] {
    const now = this.#parts.now();
    return [...this.#failing].map(([part, { reason, failures, since }]) => ({
      part,
      ...troubleParts[part],
      reason,
      sinceMs: Math.round(now - since),
      failures,
    }));
  }
}

/** Why a balancer is not ready: the troubles that have kept it from applying changes for longer than a moment. */
export function blocking(troubles: readonly TroubleStatus[]): readonly TroubleStatus[] {
  return troubles.filter(({ blocks, sinceMs }) => blocks && sinceMs >= notReadyAfterMs);
}
