import type { Logger } from 'pino';
import { type Catalog, type Folded, unchanged } from '../../catalog/catalog.ts';
import { endOverrides } from '../../catalog/fold-event.ts';
import {
  type Clocks,
  type Overrides,
  type OverrideTransition,
  overrideEnd,
  readiness,
} from '../../catalog/overrides.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { overrideKey } from '../../model/key.ts';
import { type OverrideEffect, type OverrideTarget, overrideFields, takesOut } from '../../model/override.ts';

export const overrideMetrics = ({ gauge }: MakeMetric) => ({
  overrides: gauge('overrides', 'Overrides in force, by kind.', ['kind']),
});

export type OverridingParts = {
  readonly metrics: ReturnType<typeof overrideMetrics>;
  readonly logger: Logger;
  /** Whether HAProxy can make requests wait. */
  readonly canPause: () => boolean;
  readonly clocks: () => Clocks;
  /** Gets overrides whose time is over, once each. */
  readonly onDue: (targets: readonly OverrideTarget[]) => void;
  /** Gets overrides that have ended because their time is over. */
  readonly onExpired: (targets: readonly OverrideTarget[]) => void;
};

/** An override that is in force, for `/status`. */
export type OverrideStatus = ReturnType<typeof overrideFields> & {
  readonly service: string;
  /** An instance, or `*`: all instances of the service without an override of their own. */
  readonly instance: string;
  readonly endsInMs: number | undefined;
  /** Whether the registry does not have it any more. */
  readonly held: boolean;
};

const cannotPause = 'this HAProxy has no Lua (haproxy -vv), so it cannot let requests wait';
// The longest wait of setTimeout: 24.8 days.
const longestTimerMs = 2 ** 31 - 1;
const kinds: readonly OverrideEffect['kind'][] = ['drain', 'maintenance', 'weight', 'pause'];

/** Ends overrides in time, even while the registry is unavailable, and logs each that begins or ends. */
export class Overriding {
  readonly #parts: OverridingParts;
  readonly #ends = new Map<string, { readonly target: OverrideTarget; readonly at: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: OverridingParts) {
    this.#parts = parts;
  }

  /** Returns the fold without overrides that had ended before they arrived. `live`: they were written just now. */
  take(folded: Folded, live: boolean): Folded {
    if (folded.overrides.length === 0) return folded;
    const clocks = this.#parts.clocks();
    const isLate = ({ kind, override }: OverrideTransition) =>
      kind === 'began' && (overrideEnd(override, live, clocks) ?? Number.POSITIVE_INFINITY) <= clocks.now;
    const ended = endOverrides(folded.catalog, folded.overrides.filter(isLate));
    const transitions = [...folded.overrides.filter((one) => !isLate(one)), ...ended.overrides];
    for (const transition of transitions) {
      this.#keepTime(transition, live, clocks);
      this.#log(transition, ended.catalog);
    }
    const expired = transitions.filter((one) => one.kind === 'ended' && one.reason === 'expired');
    if (expired.length > 0) this.#parts.onExpired(expired);
    this.#count(ended.catalog.overrides);
    this.#arm();
    // The dirty set stays: a round renders what the catalog has now.
    return { ...folded, catalog: ended.catalog };
  }

  /** Does the same for the catalog of an earlier run. */
  adopt(catalog: Catalog): Catalog {
    const begun = [...catalog.overrides].flatMap(([service, ofService]) =>
      [...ofService].map(([scope, override]) => ({ kind: 'began' as const, service, scope, override })),
    );
    const { catalog: standing } = this.take({ ...unchanged(catalog), overrides: begun }, false);
    return standing;
  }

  status({ overrides }: Catalog, isHeld: (key: string) => boolean): readonly OverrideStatus[] {
    const { now } = this.#parts.clocks();
    return [...overrides].flatMap(([service, ofService]) =>
      [...ofService].map(([scope, override]) => {
        const end = this.#ends.get(`${service}/${scope}`)?.at;
        const endsInMs = end === undefined ? undefined : Math.max(0, Math.round(end - now));
        const held = isHeld(overrideKey(service, scope));
        return { service, instance: scope, ...overrideFields(override), endsInMs, held };
      }),
    );
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #keepTime({ kind, service, scope, override }: OverrideTransition, live: boolean, clocks: Clocks): void {
    const name = `${service}/${scope}`;
    const at = kind === 'began' ? overrideEnd(override, live, clocks) : undefined;
    if (at === undefined) this.#ends.delete(name);
    else this.#ends.set(name, { target: { service, scope }, at });
  }

  #log(transition: OverrideTransition, { services }: Catalog): void {
    const { logger } = this.#parts;
    const { service, scope: instance, override } = transition;
    const { kind, weight, who, why, until } = { weight: undefined, ...overrideFields(override) };
    const about = { service, instance, kind, weight, who, why, until };
    if (transition.kind === 'ended') {
      const { reason } = transition;
      logger.info({ event: 'override-ended', ...about, reason }, `${service}/${instance}: ${kind} ended: ${reason}`);
      return;
    }
    const found = services.get(service);
    const { instances, ready } = found === undefined ? { instances: 0, ready: 0 } : readiness(found.instances);
    const fields = { event: 'override-applied', ...about, instances, ready };
    if (instances > 0 && ready === 0 && takesOut(override)) {
      logger.warn(fields, `${service}/${instance}: ${kind}; no instance of ${service} is left, so HAProxy answers 503`);
    } else if (kind === 'pause' && !this.#parts.canPause()) {
      logger.error({ ...fields, reason: cannotPause }, `${service} cannot be paused: ${cannotPause}`);
    } else logger.info(fields, `${service}/${instance}: ${kind}`);
  }

  #count(overrides: Overrides): void {
    const counts = new Map<OverrideEffect['kind'], number>(kinds.map((kind) => [kind, 0]));
    for (const ofService of overrides.values()) {
      for (const { effect } of ofService.values()) counts.set(effect.kind, (counts.get(effect.kind) ?? 0) + 1);
    }
    for (const [kind, count] of counts) this.#parts.metrics.overrides.set({ kind }, count);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#ends.size === 0) return;
    const soonest = Math.min(...[...this.#ends.values()].map(({ at }) => at));
    const wait = Math.max(1, Math.ceil(soonest - this.#parts.clocks().now));
    this.#timer = setTimeout(() => this.#onTime(), Math.min(wait, longestTimerMs));
  }

  #onTime(): void {
    const { now } = this.#parts.clocks();
    const due = [...this.#ends.values()].filter(({ at }) => at <= now).map(({ target }) => target);
    if (due.length > 0) this.#parts.onDue(due);
    this.#arm();
  }
}

/** The pauses that an HAProxy without Lua ignores. */
export function unpaused({ services }: Catalog): readonly Refusal[] {
  return [...services.values()]
    .filter(({ suspended }) => suspended?.kind === 'pause')
    .map(({ name }) => ({ key: overrideKey(name, '*'), reason: cannotPause, final: true }));
}
