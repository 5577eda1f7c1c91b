import * as v from 'valibot';
import { parseRecord } from '../model/json.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { accepted, type Parsed, refused } from '../model/parsed.ts';
import { type Revision, revision } from '../model/revision.ts';

/** Something that the registry asks for and a balancer does not serve. */
export type Refusal = { readonly key: string; readonly reason: string };

/** A draining server's open requests; `unknown` while somebody who may hold some cannot be asked. */
export type OpenRequests = number | 'unknown';

/** What a balancer says in `balancers/<id>`: what its HAProxy serves. */
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
  /** Where its metrics and status are; undefined when nobody else can reach them. */
  readonly admin: string | undefined;
  /** The wall clock when the last change was served. */
  readonly appliedAt: string;
  /** By `service/instance`, for each that takes no new requests. Undefined: this balancer does not count them. */
  readonly draining: ReadonlyMap<string, OpenRequests> | undefined;
  /** The newest first, and not all of them when there are many. */
  readonly refusals: readonly Refusal[];
};

export const instanceName = (service: ServiceName, id: InstanceId): string => `${service}/${id}`;

/** A balancer's key. */
export const balancerKey = (id: string): string => `balancers/${id}`;

const format = 1;
// Balancers and those who wait exchange this 20 times a second at most; etcd refuses values over 1.5 MB.
export const mostRefusals = 50;

/** Why an instance whose key the registry lost without a deletion is not gone. */
export const heldReason = 'the registry does not have it any more, and it is held';
export const mostDraining = 5000;
const longestReason = 300;

const text = v.pipe(v.string(), v.maxLength(256), v.transform(printable));
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
  refusals: v.optional(
    v.array(v.object({ key: text, reason: v.pipe(v.string(), v.transform(printable), v.transform(shortened)) })),
    [],
  ),
});

/** Reads the value of `balancers/<id>`. Unknown fields are ignored: a newer balancer may say more. */
export function parseAcknowledgement(value: string): Parsed<Acknowledgement> {
  const record = parseRecord(value);
  if (!record.ok) return record;
  const fields = record.value;
  if (fields.get('format') !== format) return refused(`it is not of format ${format}`);
  const result = v.safeParse(schema, Object.fromEntries(fields), { abortEarly: true });
  if (!result.success) return refused(`its ${v.getDotPath(result.issues[0]) ?? 'value'} is not what belongs there`);
  const { draining, admin, ...rest } = result.output;
  return accepted({
    ...rest,
    revision: revision(rest.revision),
    admin,
    draining:
      draining === undefined
        ? undefined
        : new Map(Object.entries(draining).map(([name, open]) => [name, open ?? 'unknown'])),
  });
}

/** The value that `parseAcknowledgement` reads back. */
export function formatAcknowledgement(acknowledgement: Acknowledgement): string {
  const { draining, refusals, ...rest } = acknowledgement;
  const counts = [...(draining ?? [])]
    .slice(-mostDraining)
    .map(([name, open]) => [name, open === 'unknown' ? null : open]);
  return JSON.stringify({
    format,
    ...rest,
    revision: String(rest.revision),
    ...(draining === undefined ? {} : { draining: Object.fromEntries(counts) }),
    ...(refusals.length === 0
      ? {}
      : { refusals: refusals.slice(0, mostRefusals).map(({ key, reason }) => ({ key, reason: shortened(reason) })) }),
  });
}

/** Whose acknowledgement this is, of whatever format; undefined when it is nobody's. */
export function ownerOf(value: string): string | undefined {
  const record = parseRecord(value);
  const owner = record.ok ? record.value.get('owner') : undefined;
  return typeof owner === 'string' ? owner : undefined;
}

function shortened(reason: string): string {
  return reason.length > longestReason ? `${reason.slice(0, longestReason)}...` : reason;
}

/** It is shown on terminals, and whoever may write to the registry may have written it. */
function printable(given: string): string {
  return given.replace(/[^\x20-\x7e]/g, '?');
}
