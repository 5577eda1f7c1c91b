import * as v from 'valibot';
import { parseRecord } from './json.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';
import { describeIssue, duration, whole, word } from './policy/field.ts';
import { type GuardSettings, guardField, readGuard } from './policy/guard.ts';
import { defaultRoute, type Route, readRoutes, routeFields } from './policy/routes.ts';
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
  balance: v.optional(v.picklist(['leastconn', 'roundrobin', 'random', 'first', 'source']), defaultPolicy.balance),
  check: v.optional(checkSchema, { kind: 'tcp' }),
  guard: guardField,
});

/** Reads a policy's JSON. An unknown field is refused: it is more likely mistyped than meant for a newer version. */
export function parsePolicy(value: string): Parsed<Policy> {
  const json = parseRecord(value);
  if (!json.ok) return json;
  const result = v.safeParse(schema, Object.fromEntries(json.value), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue) ?? 'policy';
    if (issue.type === 'strict_object') return refused(`${quote(where)} is not a field of a policy`);
    return refused(`${where}: ${describeIssue(issue)}`);
  }
  const { mode, port, balance, check, guard, ...given } = result.output;
  if (mode === 'tcp' && port === undefined) return refused('port: a tcp service needs a port of its own');
  if (mode === 'http' && port !== undefined)
    return refused('port: only a tcp service has one (http ones share a port)');
  const routes = readRoutes(given);
  if (!routes.ok) return routes;
  return accepted({ mode, port, routes: routes.value, balance, check: readCheck(check), guard: readGuard(guard) });
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
