import * as v from 'valibot';
import { time } from '../../model/acme/time.ts';
import { AuthorityError, readRetryAfter } from './authority-error.ts';
import type { Answer } from './exchange.ts';

// Authorities may add fields to each of these, so they are no strict objects.

const url = v.pipe(v.string(), v.maxLength(1000));

export const directorySchema = v.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  renewalInfo: v.optional(url),
  meta: v.optional(v.object({ externalAccountRequired: v.optional(v.boolean()) })),
});

export type Directory = v.InferOutput<typeof directorySchema>;

const problemSchema = v.object({ type: v.optional(v.string()), detail: v.optional(v.string()) });

type Problem = v.InferOutput<typeof problemSchema>;

export const orderSchema = v.object({
  status: v.picklist(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: v.array(url),
  finalize: url,
  certificate: v.optional(url),
  error: v.optional(problemSchema),
});

export type Order = v.InferOutput<typeof orderSchema>;

const challengeSchema = v.object({
  type: v.string(),
  url: v.optional(url),
  token: v.optional(v.string()),
  status: v.optional(v.string()),
  error: v.optional(problemSchema),
});

export const authorizationSchema = v.object({
  status: v.picklist(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  challenges: v.array(challengeSchema),
});

export type Authorization = v.InferOutput<typeof authorizationSchema>;

export const renewalInfoSchema = v.object({
  suggestedWindow: v.object({ start: time, end: time }),
  explanationURL: v.optional(v.string()),
});

/** Reads an answer of status 200 to 299. Throws an AuthorityError. */
export function readAnswer<S extends v.GenericSchema>(answer: Answer, schema: S, about: string): v.InferOutput<S> {
  const read = v.safeParse(schema, parseJson(answer.text));
  if (read.success) return read.output;
  const [issue] = read.issues;
  const where = v.getDotPath(issue);
  throw new AuthorityError(`its answer is not ${about}: ${where === null ? '' : `${where}: `}${issue.message}`, {
    kind: 'unavailable',
    status: answer.status,
  });
}

/** The problem of an answer of status 400 or more (RFC 8555, section 6.7). */
export function problemOf(answer: Answer, now: number): AuthorityError {
  const read = v.safeParse(problemSchema, parseJson(answer.text));
  const problem = read.success ? read.output : {};
  return new AuthorityError(describeProblem(problem) ?? `it answered with status ${answer.status}`, {
    kind: answer.status >= 500 ? 'unavailable' : 'refused',
    problem: problemType(problem),
    status: answer.status,
    retryAfterMs: readRetryAfter(answer.header('retry-after'), now),
  });
}

const problemType = ({ type }: Problem): string | undefined =>
  type?.replace(/^urn:ietf:params:acme:error:/, '').slice(0, 100);

/** `rateLimited: too many certificates`; undefined when it says nothing. */
export function describeProblem(problem: Problem): string | undefined {
  const type = problemType(problem);
  const detail = problem.detail?.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 500);
  return [type, detail].filter(Boolean).join(': ') || undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
