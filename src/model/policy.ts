import * as v from 'valibot';
import { parseRecord } from './json.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';
import { type Access, accessField } from './policy/access.ts';
import { type Compression, compressionField } from './policy/compression.ts';
import { describeIssue, duration, whole, word } from './policy/field.ts';
import { type GuardSettings, guardField, readGuard } from './policy/guard.ts';
import { type Headers, headersField, unchangedHeaders } from './policy/headers.ts';
import { type RateLimit, rateLimitField } from './policy/rate-limit.ts';
import { type Retries, retriesField } from './policy/retries.ts';
import { defaultRoute, type Route, readRoutes, routeFields } from './policy/routes.ts';
import { noTimeouts, type Timeouts, timeoutsField } from './policy/timeouts.ts';
import { parsePathPrefix } from './route.ts';

/** How the balancer asks a server whether it works. Times in ms. */
type HealthCheck =
  | { readonly kind: 'none' }
  | { readonly kind: 'tcp'; readonly intervalMs: number; readonly rise: number; readonly fall: number }
  | {
      readonly kind: 'http';
      readonly path: string;
      readonly intervalMs: number;
      readonly rise: number;
      readonly fall: number;
    };

/** What an operator declares about a service in `services/<service>`; a service without one gets `defaultPolicy`. */
export type Policy = {
  readonly mode: 'http' | 'tcp';
  /** The port on which a `tcp` service is offered; `http` services share the balancer's own. */
  readonly port: number | undefined;
  readonly routes: readonly Route[];
  /** Whether requests without TLS are sent to https. */
  readonly https: 'optional' | 'redirect';
  readonly access: Access | undefined;
  readonly rateLimit: RateLimit | undefined;
  readonly headers: Headers;
  readonly compression: Compression | undefined;
  readonly timeouts: Timeouts;
  readonly retries: Retries | undefined;
  readonly balance: 'leastconn' | 'roundrobin' | 'random' | 'first' | 'source';
  readonly check: HealthCheck;
  /** Where its mass-loss guard differs from the balancer's. */
  readonly guard: GuardSettings;
};

/** HTTP on the service's own name, least connections, a TCP check every 2 s: what most services want. */
export const defaultPolicy: Policy = {
  mode: 'http',
  port: undefined,
  routes: [defaultRoute],
  https: 'optional',
  access: undefined,
  rateLimit: undefined,
  headers: unchangedHeaders,
  compression: undefined,
  timeouts: noTimeouts,
  retries: undefined,
  balance: 'leastconn',
  check: { kind: 'tcp', intervalMs: 2000, rise: 1, fall: 3 },
  guard: {},
};

const count = whole(1, 100);
const path = word(parsePathPrefix);
const timing = { interval: v.optional(duration, '2s'), rise: v.optional(count, 1), fall: v.optional(count, 3) };

const checkSchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('none') }),
  v.strictObject({ kind: v.literal('tcp'), ...timing }),
  v.strictObject({ kind: v.literal('http'), path: v.optional(path, '/'), ...timing }),
]);

const schema = v.strictObject({
  mode: v.optional(v.picklist(['http', 'tcp']), defaultPolicy.mode),
  port: v.optional(whole(1, 65535)),
  ...routeFields,
  https: v.optional(v.picklist(['optional', 'redirect'])),
  access: v.optional(accessField),
  rateLimit: v.optional(rateLimitField),
  headers: v.optional(headersField),
  compression: v.optional(compressionField),
  timeouts: v.optional(timeoutsField),
  retries: v.optional(retriesField),
  balance: v.optional(v.picklist(['leastconn', 'roundrobin', 'random', 'first', 'source']), defaultPolicy.balance),
  check: v.optional(checkSchema, { kind: 'tcp' }),
  guard: guardField,
});

/** What makes sense where HAProxy understands what is said only. */
const httpFields = ['hosts', 'paths', 'strip', 'priority', 'routes', 'https', 'headers', 'compression'] as const;

/** Reads a policy's JSON. An unknown field is refused: it is more likely mistyped than meant for a newer version. */
export function parsePolicy(value: string): Parsed<Policy> {
  const json = parseRecord(value);
  if (!json.ok) return json;
  const result = v.safeParse(schema, Object.fromEntries(json.value), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue) ?? 'policy';
    if (issue.type === 'strict_object' && issue.expected === 'never')
      return refused(`${quote(where)} is not a field of a policy`);
    if (issue.received === 'undefined') return refused(`${where}: it is missing`);
    return refused(`${where}: ${describeIssue(issue)}`);
  }
  const given = result.output;
  const { mode, port } = given;
  if (mode === 'tcp' && port === undefined) return refused('port: a tcp service needs a port of its own');
  if (mode === 'http' && port !== undefined)
    return refused('port: only a tcp service has one (http ones share a port)');
  const alien = mode === 'tcp' ? httpFields.find((field) => given[field] !== undefined) : undefined;
  if (alien !== undefined) return refused(`${alien}: only an http service has it`);
  if (mode === 'tcp' && given.retries?.on.length) return refused('retries.on: only an http service has it');
  const routes = readRoutes(given);
  if (!routes.ok) return routes;
  return accepted({
    mode,
    port,
    routes: routes.value,
    https: given.https ?? defaultPolicy.https,
    access: given.access,
    rateLimit: given.rateLimit,
    headers: given.headers ?? defaultPolicy.headers,
    compression: given.compression,
    timeouts: given.timeouts ?? defaultPolicy.timeouts,
    retries: given.retries,
    balance: given.balance,
    check: readCheck(given.check),
    guard: readGuard(given.guard),
  });
}

function readCheck(check: v.InferOutput<typeof checkSchema>): HealthCheck {
  switch (check.kind) {
    case 'none':
      return { kind: 'none' };
    case 'tcp':
      return { kind: 'tcp', intervalMs: check.interval, rise: check.rise, fall: check.fall };
    case 'http':
      return { kind: 'http', path: check.path, intervalMs: check.interval, rise: check.rise, fall: check.fall };
  }
}
