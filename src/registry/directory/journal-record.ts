import * as v from 'valibot';

/** The lease that a key lives under, as each of its records carries it: nothing else has to be read to judge the key. */
export type LeaseReference = { readonly id: string; readonly ttlMs: number };

const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const lease = v.object({ id: v.string(), ttlMs: v.pipe(v.number(), v.minValue(1)) });
const stored = { key: v.string(), value: v.string(), file: v.string(), lease: v.optional(lease) };
const authored = { revision, by: v.string() };

const schema = v.variant('op', [
  v.object({ op: v.literal('open'), cluster: v.string(), generation: revision, revision }),
  v.object({ op: v.literal('keep'), revision, created: v.optional(revision), ...stored }),
  v.object({ op: v.literal('put'), ...authored, ...stored }),
  v.object({ op: v.literal('delete'), ...authored, key: v.string() }),
  v.object({ op: v.literal('revoke'), ...authored, lease: v.string() }),
  v.object({ op: v.literal('seal'), ...authored }),
]);

/**
 * One line of the journal. `open` is its first: who this registry is and at which revision the file begins. `keep` is an
 * entry carried over from the generation before. `revoke` deletes all keys of a lease in one revision. `seal` ends the
 * file: the next generation continues it. `by` names the attempt, so that its author finds out whether it was taken.
 */
export type JournalRecord = v.InferOutput<typeof schema>;

/** A change before it is appended, which gives it its revision and author. */
export type Draft =
  | {
      readonly op: 'put';
      readonly key: string;
      readonly value: string;
      readonly file: string;
      readonly lease?: LeaseReference;
    }
  | { readonly op: 'delete'; readonly key: string }
  | { readonly op: 'revoke'; readonly lease: string }
  | { readonly op: 'seal' };

/** Undefined for a line that a crash tore in the middle of an append: no process takes it for a record. */
export function parseRecordLine(line: string): JournalRecord | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined;
  }
  const result = v.safeParse(schema, json);
  return result.success ? result.output : undefined;
}

/** The newline in front ends a line that a crashed writer left torn, so that it cannot swallow this one. */
export const formatRecordLine = (record: JournalRecord): string => `\n${JSON.stringify(record)}\n`;
