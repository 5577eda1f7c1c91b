import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context, Hono, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import * as v from 'valibot';
import type { Planned, Planner, Question } from '../balance/preview/planner.ts';
import { isLoopback, parseHost } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import { answerJson } from './answer-json.ts';
import { isFlatJson } from './flat-json.ts';
import { refusedFrom } from './own-page.ts';
import type { AdminToken } from './token.ts';

export const planPath = '/plan';

/** In bytes. 10,000 policies have about 3 MB. */
const mostBytes = 8 * 2 ** 20;
const tooLong = `the changes have more than ${mostBytes / 2 ** 20} MiB: ask about fewer of them\n`;
const mostChanges = 10_000;
/** Levels of objects and lists in a request, and its commas outside of strings with room for fields that nobody knows. */
const shape = { levels: 3, commas: 3 * mostChanges };

const request = v.strictObject({
  changes: v.array(v.strictObject({ key: v.string(), value: v.nullable(v.string()) })),
  validate: v.optional(v.boolean(), false),
});

/**
 * Adds `POST /plan`: what this balancer's HAProxy would do if these entries of the registry changed. The answer changes nothing, and
 * costs processor time. Requests from this machine need no token, others a signature with the token or the token itself.
 */
export function addPlan(app: Hono, planner: Pick<Planner, 'busy' | 'plan'>, token: AdminToken | undefined): void {
  const limited = bodyLimit({ maxSize: mostBytes, onError: (c) => c.text(tooLong, 413) });
  const mayAsk = onlyAllowed(token);
  app.post(planPath, mayAsk, onlyIdle(planner), limited, async (c) => {
    const refused = refusedFrom(c);
    if (refused !== undefined) return refused;
    const text = await c.req.text();
    if (!isFromHere(c) && token !== undefined && !(await isAllowed(c, token, text))) return c.text(wrongToken, 401);
    try {
      const planned = await planner.plan(() => readQuestion(text), c.req.raw.signal);
      return planned.kind === 'answer' ? answerJson(c, planned.answer) : answerBusy(c, planned);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return c.text(`${describe(error)}\n`, error.code === 'usage' ? 400 : 422);
    }
  });
}

/** Refuses before the body is read: reading it costs processor time too. */
function onlyIdle(planner: Pick<Planner, 'busy'>): MiddlewareHandler {
  return async (c, next) => {
    const busy = planner.busy();
    return busy === undefined ? next() : answerBusy(c, busy);
  };
}

function answerBusy(c: Context, { reason, retryMs }: Extract<Planned, { kind: 'busy' }>): Response {
  const seconds = Math.ceil(retryMs / 1000);
  return c.text(`${reason}: ask again in ${seconds} s\n`, 503, { 'Retry-After': String(seconds) });
}

const noToken = 'this balancer plans for other machines only if it has a token: start it with --admin-token-file\n';
const wrongToken = 'the token is missing or wrong: give the file of this balancer with --admin-token-file\n';

/** Refuses what cannot be allowed before the body is read. */
function onlyAllowed(token: AdminToken | undefined): MiddlewareHandler {
  return async (c, next) => {
    if (isFromHere(c)) return next();
    if (token === undefined) return c.text(noToken, 403);
    return c.req.header('authorization') === undefined ? c.text(wrongToken, 401) : next();
  };
}

async function isAllowed(c: Context, token: AdminToken, text: string): Promise<boolean> {
  const authorization = c.req.header('authorization');
  return (await token.signed(text, authorization)) || token.isGiven(authorization);
}

/** Lets requests for a plan pass: the plan itself decides who may ask for one. Others have to pass `gate`. */
export function exceptPlans(gate: MiddlewareHandler): MiddlewareHandler {
  return async (c, next) => (c.req.path === planPath && c.req.method === 'POST' ? next() : gate(c, next));
}

function isFromHere(c: Context): boolean {
  const host = parseHost(getConnInfo(c).remote.address?.replace(/^::ffff:/, '') ?? '');
  return host.ok && host.value.family !== 'name' && isLoopback(host.value);
}

/** Throws Fault `usage`. */
function readQuestion(text: string): Question {
  const read = v.safeParse(request, parse(text), { abortEarly: true });
  if (!read.success) {
    const [issue] = read.issues;
    throw new Fault('usage', `${v.getDotPath(issue) ?? 'the request'}: ${issue.message}`);
  }
  const { changes, validate } = read.output;
  if (changes.length > mostChanges) {
    throw new Fault('usage', `${changes.length} changes are more than ${mostChanges}: ask about fewer of them`);
  }
  return { validate, changes: changes.map(({ key, value }) => ({ key, value: value ?? undefined })) };
}

function parse(text: string): unknown {
  if (!isFlatJson(text, shape)) {
    throw new Fault(
      'usage',
      `the request has more than ${mostChanges} changes, or more than the key and value of each`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('usage', 'the request is not JSON', { cause });
  }
}
