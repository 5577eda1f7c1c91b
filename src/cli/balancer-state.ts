import * as v from 'valibot';
import { describe } from '../model/fault.ts';
import { askAdmin, type KnownBalancer } from './balancers.ts';

const claimants = { winner: v.optional(v.string()), loser: v.string() };
const because = v.fallback(v.optional(v.picklist(['own-name', 'older', 'first-by-name', 'crowded'])), undefined);
const conflict = v.variant('kind', [
  v.object({
    kind: v.literal('port'),
    port: v.number(),
    because,
    ofTemplate: v.optional(v.literal(true)),
    ofClaim: v.optional(v.literal(true)),
    ofHttps: v.optional(v.literal(true)),
    ...claimants,
  }),
  v.object({ kind: v.literal('certificate'), file: v.string(), ...claimants }),
  v.object({ kind: v.literal('priority'), ...claimants }),
  v.object({
    kind: v.literal('host'),
    host: v.string(),
    others: v.optional(v.array(v.string())),
    more: v.number(),
    ...claimants,
  }),
  v.object({ kind: v.literal('capped-priority'), priority: v.number(), counts: v.number(), ...claimants }),
  v.object({ kind: v.literal('route'), route: v.string(), more: v.optional(v.number()), because, ...claimants }),
]);
const revisionText = v.pipe(v.string(), v.regex(/^\d{1,19}$/));
const health = v.looseObject({
  ready: v.boolean(),
  serving: v.optional(v.boolean()),
  leaving: v.optional(v.looseObject({ stopsInMs: v.number() })),
  troubles: v.optional(
    v.array(v.looseObject({ part: v.string(), means: v.string(), reason: v.string(), sinceMs: v.number() })),
    [],
  ),
  revisionSeen: v.optional(revisionText, '0'),
  revisionApplied: v.optional(revisionText, '0'),
  registry: v.object({ connected: v.boolean(), reason: v.optional(v.string()), staleMs: v.number() }),
  pendingReload: v.optional(v.array(v.string()), []),
  refused: v.optional(v.string()),
  drift: v.optional(
    v.looseObject({ times: v.number(), ageMs: v.number(), count: v.number(), differences: v.array(v.string()) }),
  ),
  storage: v.optional(v.array(v.looseObject({ what: v.string(), reason: v.string() })), []),
  conflicts: v.optional(v.array(conflict), []),
  moreConflicts: v.optional(v.record(v.string(), v.number()), {}),
  ejected: v.optional(
    v.array(
      v.looseObject({
        service: v.string(),
        instance: v.string(),
        phase: v.string(),
        errors: v.number(),
        endsInMs: v.number(),
      }),
    ),
    [],
  ),
  guarded: v.optional(
    v.array(v.looseObject({ service: v.string(), instances: v.array(v.string()), lost: v.number(), of: v.number() })),
    [],
  ),
  held: v.optional(
    v.array(
      v.looseObject({
        kind: v.string(),
        reason: v.string(),
        count: v.number(),
        endsInMs: v.optional(v.number()),
        keys: v.optional(v.array(v.string()), []),
      }),
    ),
    [],
  ),
  files: v.optional(
    v.array(
      v.looseObject({
        dest: v.string(),
        refused: v.optional(v.string()),
        reloadFailed: v.optional(v.string()),
        altered: v.optional(v.string()),
        stalled: v.optional(v.string()),
        inPlace: v.optional(v.string()),
      }),
    ),
    [],
  ),
  quarantined: v.optional(v.array(v.looseObject({ key: v.string(), reason: v.string(), serves: v.string() })), []),
  rejected: v.optional(v.array(v.object({ key: v.string(), reason: v.string() })), []),
});
const services = v.array(
  v.looseObject({
    name: v.string(),
    up: v.optional(v.number()),
    ejected: v.optional(v.number()),
    declared: v.optional(v.boolean(), true),
    instances: v.optional(v.number(), 0),
    ready: v.optional(v.number(), 0),
    port: v.optional(v.number()),
    routes: v.optional(v.array(v.string()), []),
  }),
);

export type BalancerHealth = v.InferOutput<typeof health>;
export type BalancerState = KnownBalancer & {
  readonly health: BalancerHealth | undefined;
  /** Why its admin port, which answered a moment before, did not say what was asked. */
  readonly unread?: string;
  /** As it serves them; empty while it cannot be asked. */
  readonly serves: v.InferOutput<typeof services>;
};

/** Asks a balancer what it serves, and what is wrong with it. */
export async function look(balancer: KnownBalancer): Promise<BalancerState> {
  const { admin } = balancer;
  if ('reason' in admin) return { ...balancer, health: undefined, serves: [] };
  try {
    const [state, serves] = await Promise.all([askAdmin(admin.at, '/status'), askAdmin(admin.at, '/services')]);
    return { ...balancer, health: v.parse(health, state), serves: v.parse(services, serves) };
  } catch (error) {
    const unread = `its admin port ${admin.at} does not answer as it should: ${describe(error)}`;
    return { ...balancer, health: undefined, unread, serves: [] };
  }
}
