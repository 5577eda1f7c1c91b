import * as v from 'valibot';
import { parseRecord } from '../model/json.ts';
import { balancerKey } from '../model/key.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import { type Revision, revision } from '../model/revision.ts';
import { serviceOf } from '../registry/holding/areas.ts';

/** Something that the registry asks for and a balancer does not serve. */
export type Refusal = {
  readonly key: string;
  readonly reason: string;
  /** The balancer does not serve it and did not before: a process that leaves need not wait. */
  readonly absent?: boolean | undefined;
  /**
   * Waiting does not help: somebody has to change the entry, another entry, a file or HAProxy. An older balancer does not say it, and
   * refuses for as long as a delayed reload takes, or for ever.
   */
  readonly final?: boolean | undefined;
};

/** A draining server's open requests; `unknown` while a worker that may hold some cannot be asked. */
export type OpenRequests = number | 'unknown';

/** A balancer's acknowledgement in `balancers/<id>`: the state that its HAProxy serves. */
export type Acknowledgement = {
  /** HAProxy serves everything up to this revision, or it is in `refusals`. */
  readonly revision: Revision;
  /** The registry that the revision belongs to. */
  readonly cluster: string;
  /** Names one balancer among those that call themselves by one id. */
  readonly owner: string;
  /** pointsman's own. */
  readonly version: string;
  readonly haproxyVersion: string;
  /** The same for balancers that make the same configuration of the same revision. */
  readonly config: string;
  /** The address of its metrics and status; undefined when no other machine can reach it. */
  readonly admin: string | undefined;
  /** The wall clock when the last change was served. */
  readonly appliedAt: string;
  /** By `service/instance`, for each that takes no new requests. Undefined: this balancer does not count them. */
  readonly draining: ReadonlyMap<string, OpenRequests> | undefined;
  /** By service: instances that have passed no check since HAProxy got them, so that they get no requests. Empty for an older balancer. */
  readonly unproven: ReadonlyMap<string, readonly string[]>;
  /** By service, why no request can reach it although its instances are served. Empty for an older balancer. */
  readonly unrouted: ReadonlyMap<string, string>;
  /** By service, what it asks for and does not get: of at most `mostConflicts` services. Empty for an older balancer. */
  readonly conflicts: ReadonlyMap<string, string>;
  /** The newest of each service first, and not all of them when there are many. */
  readonly refusals: readonly Refusal[];
  /** How many more there are of each service; `*`: of any, as far as the balancer itself knows. */
  readonly untold: ReadonlyMap<string, number>;
  /** By service: how much `draining`, `unproven` and `unrouted` leave out, because they list a bounded number; `*`: of any service. */
  readonly unlisted: ReadonlyMap<string, number>;
};

export const instanceName = (service: ServiceName, id: InstanceId): string => `${service}/${id}`;

/**
 * The key of a balancer whose own key another one still holds, so that a wait finds both. No id has a colon, so this key is
 * never the own key of another balancer.
 */
export const keyBeside = (id: string, owner: string): string => `${balancerKey(id)}:${owner.slice(0, 8)}`;

/** The balancer of a key; a second key of one id is a balancer of its own. */
export const balancerOf = (key: string): string | undefined =>
  /^balancers\/([A-Za-z0-9][A-Za-z0-9._-]{0,62}(?::[A-Za-z0-9-]{1,8})?)$/.exec(key)?.[1];

const format = 1;
// Balancers and those who wait exchange this 20 times a second at most; etcd refuses values over 1.5 MB.
export const mostRefusals = 50;

/** Why an instance whose key the registry lost without a deletion is not gone. */
export const heldReason = 'the registry no longer has it, and it is held';
export const mostDraining = 5000;
export const mostUnproven = 2000;
export const mostUnrouted = 100;
const mostConflicts = 100;
const mostUntold = 100;
/** Any service, in the counts of refusals that are not listed. */
export const anyService = '*';
const longestReason = 300;
// No well-formed key is longer, but etcd takes keys of more than 1 MB from any user with write permission under a prefix.
const longestKey = 256;
const longestService = 63;

const text = v.pipe(v.string(), v.maxLength(256), v.transform(inAscii));
const reason = v.pipe(v.string(), v.transform(inAscii), v.transform(shortReason));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const nonce = v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]{1,64}$/));

const schema = v.object({
  revision: v.pipe(v.string(), v.regex(/^[0-9]{1,19}$/)),
  cluster: text,
  owner: nonce,
  version: text,
  haproxyVersion: v.optional(text, 'unknown'),
  config: v.optional(text, 'unknown'),
  admin: v.optional(text),
  appliedAt: v.optional(text, 'unknown'),
  draining: v.optional(v.record(v.string(), v.nullable(count))),
  unproven: v.optional(v.record(v.string(), v.array(text)), {}),
  unrouted: v.optional(v.record(v.string(), reason), {}),
  conflicts: v.optional(v.record(v.string(), reason), {}),
  refusals: v.optional(
    v.array(
      v.object({
        key: v.pipe(v.string(), v.transform(inAscii), v.transform(shortKey)),
        reason,
        absent: v.optional(v.boolean()),
        final: v.optional(v.boolean()),
      }),
    ),
    [],
  ),
  untold: v.optional(v.record(v.string(), count), {}),
  unlisted: v.optional(v.record(v.string(), count), {}),
});

/** Reads the value of `balancers/<id>`. Unknown fields are ignored: a newer balancer may say more. */
export function parseAcknowledgement(value: string): Parsed<Acknowledgement> {
  const record = parseRecord(value);
  if (!record.ok) return record;
  const fields = record.value;
  if (fields.get('format') !== format) return rejected(`it is not of format ${format}`);
  const result = v.safeParse(schema, Object.fromEntries(fields), { abortEarly: true });
  if (!result.success) return rejected(`its ${v.getDotPath(result.issues[0]) ?? 'value'} is not valid`);
  const { draining, admin, untold, unproven, unrouted, conflicts, unlisted, ...rest } = result.output;
  return accepted({
    ...rest,
    revision: revision(rest.revision),
    admin,
    untold: new Map(Object.entries(untold)),
    unproven: new Map(Object.entries(unproven)),
    unrouted: new Map(Object.entries(unrouted)),
    conflicts: new Map(Object.entries(conflicts)),
    unlisted: new Map(Object.entries(unlisted)),
    draining:
      draining === undefined
        ? undefined
        : new Map(Object.entries(draining).map(([name, open]) => [name, open ?? 'unknown'])),
  });
}

/** The value that `parseAcknowledgement` reads back. */
export function formatAcknowledgement(acknowledgement: Acknowledgement): string {
  const { draining, refusals, untold, unproven, unrouted, conflicts, unlisted: before, ...rest } = acknowledgement;
  const drains = shareRoom(byService(draining ?? new Map()), mostDraining);
  const counts = [...drains.listed.values()].flat().map(([name, open]) => [name, open === 'unknown' ? null : open]);
  const waits = shareRoom(unproven, mostUnproven);
  const routeless = [...unrouted].map(([service, reason]) => [service, shortReason(reason)] as const);
  const losses = [...conflicts].slice(0, mostConflicts).map(([service, why]) => [service, shortReason(why)] as const);
  const leftOut = new Map(routeless.slice(mostUnrouted).map(([service]) => [service, 1]));
  const unlisted = sum(before, drains.unlisted, waits.unlisted, leftOut);
  return JSON.stringify({
    format,
    ...rest,
    revision: String(rest.revision),
    ...(draining === undefined ? {} : { draining: Object.fromEntries(counts) }),
    ...(unproven.size === 0 ? {} : { unproven: Object.fromEntries(waits.listed) }),
    ...(unrouted.size === 0 ? {} : { unrouted: Object.fromEntries(routeless.slice(0, mostUnrouted)) }),
    ...(losses.length === 0 ? {} : { conflicts: Object.fromEntries(losses) }),
    ...(untold.size === 0 ? {} : { untold: Object.fromEntries(shortUntold(untold)) }),
    ...(unlisted.size === 0 ? {} : { unlisted: Object.fromEntries(shortUntold(unlisted)) }),
    ...(refusals.length === 0
      ? {}
      : {
          refusals: refusals.slice(0, mostRefusals).map(({ key, reason, absent, final }) => ({
            key: shortKey(key),
            reason: shortReason(reason),
            ...(absent === true ? { absent } : {}),
            ...(final === true ? { final } : {}),
          })),
        }),
  });
}

/**
 * The listed ones of many refusals: the first of each service before the second of any, so that the refusals of one service
 * cannot hide those of another; and how many of each service are not listed.
 */
export function listFairly(refusals: readonly Refusal[]): Pick<Acknowledgement, 'refusals' | 'untold'> {
  if (refusals.length <= mostRefusals) return { refusals, untold: new Map() };
  const turns = new Map<string, number>();
  const ranked = refusals.map((refusal) => {
    const service = serviceOfRefused(refusal.key);
    const turn = turns.get(service) ?? 0;
    turns.set(service, turn + 1);
    return { refusal, turn };
  });
  // The sort keeps the order within a turn.
  const told = ranked.sort((a, b) => a.turn - b.turn).slice(0, mostRefusals);
  for (const { refusal } of told) {
    const service = serviceOfRefused(refusal.key);
    const left = (turns.get(service) ?? 1) - 1;
    if (left === 0) turns.delete(service);
    else turns.set(service, left);
  }
  return { refusals: told.map(({ refusal }) => refusal), untold: turns };
}

/** Keys that are about no service are all of one, which has no name. So are those whose service's name is too long for one. */
function serviceOfRefused(key: string): string {
  const service = serviceOf(key) ?? '';
  return service.length > longestService ? '' : service;
}

function shortUntold(untold: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  const all = [...untold];
  if (all.length <= mostUntold) return all;
  const rest = all.slice(mostUntold).reduce((sum, [, many]) => sum + many, 0);
  return [...all.slice(0, mostUntold).filter(([name]) => name !== anyService), [anyService, rest]];
}

/**
 * At most `room` items, the newest of each service. Services with few items come first, so that the items of one service cannot
 * hide those of another. `unlisted`: how many items of each service are left out.
 */
function shareRoom<Item>(
  items: ReadonlyMap<string, readonly Item[]>,
  room: number,
): { readonly listed: ReadonlyMap<string, readonly Item[]>; readonly unlisted: ReadonlyMap<string, number> } {
  const listed = new Map<string, readonly Item[]>();
  const unlisted = new Map<string, number>();
  let left = room;
  for (const [service, all] of [...items].sort(([, a], [, b]) => a.length - b.length)) {
    const taken = all.slice(Math.max(0, all.length - left));
    if (taken.length > 0) listed.set(service, taken);
    if (taken.length < all.length) unlisted.set(service, all.length - taken.length);
    left -= taken.length;
  }
  return { listed, unlisted };
}

type Drain = readonly [name: string, open: OpenRequests];

function byService(draining: ReadonlyMap<string, OpenRequests>): ReadonlyMap<string, readonly Drain[]> {
  const services = new Map<string, Drain[]>();
  for (const drain of draining) {
    const service = drain[0].slice(0, drain[0].indexOf('/'));
    const drains = services.get(service);
    if (drains === undefined) services.set(service, [drain]);
    else drains.push(drain);
  }
  return services;
}

function sum(...all: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const total = new Map<string, number>();
  for (const counts of all) for (const [name, many] of counts) total.set(name, (total.get(name) ?? 0) + many);
  return total;
}

/**
 * The last value of a balancer whose HAProxy has ended, from its value before: those who wait can tell it from one whose lease ended.
 * Older versions ignore the field.
 */
export const formatEnded = (value: string): string => {
  const record = parseRecord(value);
  return JSON.stringify({ ...(record.ok ? Object.fromEntries(record.value) : {}), ended: true });
};

/** Whether it is such a value. */
export function hasEnded(value: string): boolean {
  const record = parseRecord(value);
  return record.ok && record.value.get('ended') === true;
}

/** The owner of an acknowledgement in any format; undefined without one. */
export function ownerOf(value: string): string | undefined {
  const record = parseRecord(value);
  const owner = record.ok ? record.value.get('owner') : undefined;
  return typeof owner === 'string' ? owner : undefined;
}

function shortReason(reason: string): string {
  return shortened(reason, longestReason);
}

function shortKey(key: string): string {
  return shortened(key, longestKey);
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}...` : text;
}

/** Terminals show it, and any user with write permission may have written it. */
function inAscii(given: string): string {
  return given.replace(/[^\x20-\x7e]/g, '?');
}
