import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Rendered, RenderedBackend } from '../render/render.ts';

/** Which servers are to pass a check before they get requests. */
export type FirstCheckRule = {
  /** Whether nobody has found this instance well yet. */
  readonly unproven: (service: ServiceName, id: InstanceId) => boolean;
  /** Whether this server waits for its first check already. */
  readonly waits: (service: ServiceName, id: InstanceId) => boolean;
};

export const noFirstChecks: FirstCheckRule = { unproven: () => false, waits: () => false };

/** A server that waits for its first check, with its line. */
export type Newcomer = { readonly service: ServiceName; readonly id: InstanceId; readonly line: string };

const isChecked = (line: string): boolean => / check( |$)/.test(line) && isServing(line);
export const isServing = (line: string): boolean => !/ (disabled|weight 0)( |$)/.test(line);
export const addressOf = (line: string): string => line.split(' ', 3)[2] ?? '';
// Of thousands that are all disabled not each is looked at: the newcomer then serves at once.
const mostSiblings = 32;

/**
 * Whether a server is to pass a check before it gets requests: nobody has found it well yet, and another server of its
 * service serves meanwhile. Where none does, a server that may be well is better than none.
 */
export function mustBeChecked(
  before: RenderedBackend | undefined,
  after: RenderedBackend,
  id: InstanceId,
  rule: FirstCheckRule,
): boolean {
  const line = after.servers.get(id);
  const former = before?.servers.get(id);
  if (before === undefined || line === undefined || !isChecked(line)) return false;
  if (former !== undefined && isServing(former) && addressOf(former) === addressOf(line)) return false;
  if (!rule.unproven(after.name, id)) return false;
  let looked = 0;
  for (const [other, text] of after.servers) {
    looked += 1;
    if (looked > mostSiblings) return false;
    if (other === id || rule.waits(after.name, other) || !isServing(text)) continue;
    const had = before.servers.get(other);
    if (had !== undefined && isServing(had) && addressOf(had) === addressOf(text)) return true;
  }
  return false;
}

/** The servers that come with a reload from `before` to `after` and are to pass a check first. */
export function newcomersOf(before: Rendered, after: Rendered, rule: FirstCheckRule): readonly Newcomer[] {
  const found: Newcomer[] = [];
  for (const [service, backend] of after.backends) {
    const had = before.backends.get(service);
    if (had === undefined || had.servers === backend.servers) continue;
    for (const [id, line] of backend.servers) {
      if (had.servers.get(id) !== line && mustBeChecked(had, backend, id, rule)) found.push({ service, id, line });
    }
  }
  return found;
}
