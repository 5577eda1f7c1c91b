import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Logger } from 'pino';
import * as v from 'valibot';
import { describe, Fault } from '../model/fault.ts';
import { type Action, commandOf, parseAction } from '../operate/action.ts';
import type { Operations } from '../operate/operations.ts';
import { answerJson } from './answer-json.ts';
import { refusedFrom } from './own-page.ts';

export type ActionsParts = {
  /** Undefined where this balancer can change nothing in its registry. */
  readonly operations: Operations | undefined;
  /** Whether there is a token; without one nothing is done. */
  readonly hasToken: boolean;
  readonly hostname: string;
  readonly logger: Logger;
};

const mostBytes = 4096;
const request = v.looseObject({
  /** The operator's name, for others to ask; no proof. */
  who: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, 'who: is not 1 to 64 of A-Z a-z 0-9 . _ -'))),
});

/**
 * Adds `GET /actions` (whether there are any), `POST /actions/check` (the token fits), `POST /actions/preview` and `POST /actions`: what the commands `drain`, `undrain`,
 * `maintenance`, `weight`, `pause`, `resume`, `clear` and `release` do. The gate has asked for the token before: a browser sends it only
 * from our own page, because it is in no cookie and no other origin may send the header.
 */
export function addActions(app: Hono, { operations, hasToken, hostname, logger }: ActionsParts): void {
  app.get('/actions', (c) => answerJson(c, { allowed: hasToken && operations !== undefined }));
  const limited = bodyLimit({ maxSize: mostBytes, onError: (c) => c.text('it is too long\n', 413) });
  app.post('/actions/check', limited, async (c) => {
    const refused = refusedFrom(c);
    if (refused !== undefined) return refused;
    const read = readNamed(await c.req.text());
    return typeof read === 'string' ? c.text(`${read}\n`, 400) : answerJson(c, {});
  });
  for (const path of ['/actions', '/actions/preview']) {
    app.post(path, limited, async (c) => {
      const refused = refusedFrom(c);
      if (refused !== undefined) return refused;
      if (operations === undefined)
        return c.text('this balancer follows keys of another layout: it writes no overrides\n', 409);
      const read = readRequest(await c.req.text());
      if (typeof read === 'string') return c.text(`${read}\n`, 400);
      const { action, name } = read;
      const who = `${name ?? 'page'}@${hostname}`;
      try {
        if (path === '/actions/preview') return answerJson(c, await operations.preview(action, who));
        const outcome = await operations.carryOut(action, who);
        const about = { action: commandOf(action), who, revision: outcome.revision };
        logger.info({ event: 'admin-action', ...about }, `${who} on the admin port: ${outcome.says}`);
        return answerJson(c, outcome);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        return c.text(`${describe(error)}\n`, error.code === 'not-found' ? 404 : 503);
      }
    });
  }
}

/** Reads an action, and who wants it; or why it is none. */
function readRequest(text: string): { readonly action: Action; readonly name: string | undefined } | string {
  const named = readNamed(text);
  if (typeof named === 'string') return named;
  const action = parseAction(named.rest);
  return action.ok ? { action: action.value, name: named.who } : action.reason;
}

function readNamed(text: string): { readonly who: string | undefined; readonly rest: object } | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'it is no JSON';
  }
  const named = v.safeParse(request, json);
  if (!named.success) return named.issues[0].message;
  const { who, ...rest } = named.output;
  return { who, rest };
}
