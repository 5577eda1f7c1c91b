import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Rendered, RenderedBackend } from '../render/rendered.ts';

/** Which servers are to pass a check before they get requests. */
export type FirstCheckRule = {
  /** Whether no check of this instance has succeeded yet. */
  readonly unproven: (service: ServiceName, id: InstanceId) => boolean;
  /** Whether this server waits for its first check already. */
  readonly waits: (service: ServiceName, id: InstanceId) => boolean;
};

export const noFirstChecks: FirstCheckRule = { unproven: () => false, waits: () => false };

/** A server that waits for its first check, with its line. */
export type Newcomer = { readonly service: ServiceName; readonly id: InstanceId; readonly line: string };

/** Whether HAProxy checks a server that takes requests once it has a weight. */
export const isChecked = (line: string): boolean => / check( |$)/.test(line) && isEnabled(line);
/** Whether a server takes requests once it has a weight. */
export const isEnabled = (line: string): boolean => !/ disabled( |$)/.test(line);
export const isServing = (line: string): boolean => !/ (disabled|weight 0)( |$)/.test(line);
export const addressOf = (line: string): string => line.split(' ', 3)[2] ?? '';

/** Whether a server is to pass a check before it gets requests. */
export type MustBeChecked = (id: InstanceId) => boolean;

/**
 * Whether a server of the backend is to pass a check before it gets requests: no check of it has succeeded yet, and another server
 * of its service serves meanwhile. Where none does, a server that may be well is better than none. A server without weight gets
 * no requests yet, so it always waits: it then has passed a check when it gets a weight.
 */
export function firstCheckOf(
  before: RenderedBackend | undefined,
  after: RenderedBackend | undefined,
  rule: FirstCheckRule,
): MustBeChecked {
  if (before === undefined || after === undefined) return () => false;
  const stays = (id: InstanceId, line: string, was: (former: string) => boolean): boolean => {
    const former = before.servers.get(id);
    return former !== undefined && was(former) && addressOf(former) === addressOf(line);
  };
  // Computed once, for all newcomers of the service: there may be thousands of servers that do not serve.
  let someServe: boolean | undefined;
  const serves = (line: string, id: InstanceId) =>
    isServing(line) && stays(id, line, isServing) && !rule.waits(after.name, id);
  return (id) => {
    const line = after.servers.get(id);
    if (line === undefined || !isChecked(line) || stays(id, line, isEnabled) || !rule.unproven(after.name, id))
      return false;
    if (!isServing(line)) return true;
    someServe ??= after.servers.some(serves);
    return someServe;
  };
}

/** The servers that come with a reload from `before` to `after` and are to pass a check first. */
export function newcomersOf(before: Rendered, after: Rendered, rule: FirstCheckRule): readonly Newcomer[] {
  const found: Newcomer[] = [];
  for (const [service, backend] of after.backends) {
    const had = before.backends.get(service);
    if (had === undefined || had.servers === backend.servers) continue;
    const mustBeChecked = firstCheckOf(had, backend, rule);
    for (const [id, line] of backend.servers) {
      if (had.servers.get(id) !== line && mustBeChecked(id)) found.push({ service, id, line });
    }
  }
  return found;
}
