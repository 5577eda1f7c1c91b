import type { RunningState } from './running-state.ts';

/** HAProxy's checks find an instance up or down that they found otherwise before. */
export type HealthChange = {
  readonly to: 'up' | 'down';
  readonly service: string;
  readonly id: string;
  /** The result of the check in HAProxy's words; undefined where only its effect is known. */
  readonly result: string | undefined;
};

/** Whether HAProxy took the server down for errors in a row of its requests, in the words of its log or its statistics. */
export const isEjectedDown = ({ to, result = '' }: HealthChange): boolean =>
  to === 'down' && /^(Health analyze|HANA)\b/.test(result);

/** The health of servers as it was reported last, by `service/instance`. A server is not in it before it was up once. */
export type KnownHealth = ReadonlyMap<string, HealthChange['to']>;

/** `srv_check_result` of a check that passed; less: none has been made, or it failed. */
const leastPassed = 3;

/**
 * The changes from what was known to the states that HAProxy has now. A new server that has not passed a check is no change: the first
 * checks report it. A server that a new worker takes for up before its first check is no change either.
 */
export function healthChanges(
  known: KnownHealth,
  states: RunningState['servers'],
): { readonly known: KnownHealth; readonly changes: readonly Omit<HealthChange, 'result'>[] } {
  const next = new Map<string, HealthChange['to']>();
  const changes: Omit<HealthChange, 'result'>[] = [];
  for (const [service, servers] of states) {
    // A backend of pointsman's own is no service.
    if (service.startsWith('_')) continue;
    for (const [id, { up, disabled, lastCheck }] of servers) {
      const name = `${service}/${id}`;
      const before = known.get(name);
      const passed = Number(lastCheck?.[2] ?? 0) >= leastPassed;
      const now = disabled || (up && before === 'down' && !passed) ? before : up ? 'up' : before && 'down';
      if (now === undefined) continue;
      next.set(name, now);
      if (before !== undefined && now !== before) changes.push({ to: now, service, id });
    }
  }
  return { known: next, changes };
}
