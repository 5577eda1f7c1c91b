import * as v from 'valibot';
import { parseRecord } from './json.ts';
import { accepted, type Parsed, rejected } from './parsed.ts';
import { type Access, accessField } from './policy/access.ts';
import { type Auth, authField } from './policy/auth.ts';
import { type Balance, balanceField, defaultBalance, isHashed, keepsShares } from './policy/balance.ts';
import { type Canary, canaryField } from './policy/canary.ts';
import { checkField, defaultCheck, type ServerCheck } from './policy/check.ts';
import { type Compression, compressionField } from './policy/compression.ts';
import { type Ejection, ejectionField } from './policy/ejection.ts';
import { type ErrorPages, errorPagesField } from './policy/error-pages.ts';
import { describeIssue, duration, parseEntry, whole, wordIssue } from './policy/field.ts';
import { type GuardSettings, guardField, readGuard } from './policy/guard.ts';
import { type Headers, headersField, unchangedHeaders } from './policy/headers.ts';
import { type Https, httpsField, optionalHttps } from './policy/https.ts';
import { type Limits, limitsField } from './policy/limits.ts';
import { type RateLimit, rateLimitField } from './policy/rate-limit.ts';
import { type Redirect, redirectField } from './policy/redirect.ts';
import { type Retries, retriesField } from './policy/retries.ts';
import { type PathChange, rewriteField } from './policy/rewrite.ts';
import { defaultRoute, readRoutes, routeFields } from './policy/routes.ts';
import { readSni, type Sni, sniFields } from './policy/sni.ts';
import { type Split, splitField } from './policy/split.ts';
import { type Sticky, stickyField } from './policy/sticky.ts';
import { noTimeouts, type Timeouts, timeoutsField } from './policy/timeouts.ts';
import { type Tls, tlsField } from './policy/tls.ts';
import type { Route } from './route.ts';

/** The settings of a service in the entry `services/<service>`. A service without the entry has `defaultPolicy`. */
export type Policy = {
  readonly mode: 'http' | 'tcp';
  /** The port on which a `tcp` service is offered; `http` services share the balancer's own. */
  readonly port: number | undefined;
  /** Which connections of its port a `tcp` service gets; undefined: all. */
  readonly sni: Sni | undefined;
  readonly routes: readonly Route[];
  /** Requests are answered with a page that says so, and connections are closed. */
  readonly maintenance: boolean;
  readonly https: Https;
  readonly redirect: Redirect | undefined;
  /** In order, each of the path that the one before left. */
  readonly rewrite: readonly PathChange[];
  readonly access: Access | undefined;
  readonly auth: Auth | undefined;
  readonly rateLimit: RateLimit | undefined;
  readonly limits: Limits | undefined;
  readonly headers: Headers;
  readonly errorPages: ErrorPages | undefined;
  readonly compression: Compression | undefined;
  readonly timeouts: Timeouts;
  readonly retries: Retries | undefined;
  readonly balance: Balance;
  /** Which share of the requests each version gets; undefined where their instances' weights decide. */
  readonly split: Split | undefined;
  readonly canary: Canary | undefined;
  readonly sticky: Sticky | undefined;
  readonly check: ServerCheck;
  /** Undefined: only health checks take a server out. */
  readonly ejection: Ejection | undefined;
  /** How long a server that came up takes to get its full share, in ms. */
  readonly slowStartMs: number | undefined;
  /** How many requests (of a `tcp` service: connections) a server has at once; more wait, see `timeouts.queue`. */
  readonly maxconn: number | undefined;
  /** How many wait for one server before others are asked. */
  readonly maxqueue: number | undefined;
  /** The protocol of the servers. */
  readonly protocol: 'h1' | 'h2';
  readonly tls: Tls | undefined;
  /** The version of the PROXY protocol that tells servers who the client is. */
  readonly proxyProtocol: 'v1' | 'v2' | undefined;
  /** Servers of other zones than the balancer's own get requests only while none of its own is up. */
  readonly preferZone: boolean;
  /** Where its mass-loss guard differs from the balancer's. */
  readonly guard: GuardSettings;
};

/** HTTP on the service's own name, round robin, a TCP check every 2 s: what most services want. */
export const defaultPolicy: Policy = {
  mode: 'http',
  port: undefined,
  sni: undefined,
  routes: [defaultRoute],
  maintenance: false,
  https: optionalHttps,
  redirect: undefined,
  rewrite: [],
  access: undefined,
  auth: undefined,
  rateLimit: undefined,
  limits: undefined,
  headers: unchangedHeaders,
  errorPages: undefined,
  compression: undefined,
  timeouts: noTimeouts,
  retries: undefined,
  balance: defaultBalance.http,
  split: undefined,
  canary: undefined,
  sticky: undefined,
  check: defaultCheck,
  ejection: undefined,
  slowStartMs: undefined,
  maxconn: undefined,
  maxqueue: undefined,
  protocol: 'h1',
  tls: undefined,
  proxyProtocol: undefined,
  preferZone: false,
  guard: {},
};

/** The fields of a policy as its JSON has them. */
export const policySchema = v.strictObject({
  mode: v.optional(v.picklist(['http', 'tcp']), defaultPolicy.mode),
  port: v.optional(whole(1, 65535)),
  ...sniFields,
  ...routeFields,
  maintenance: v.optional(v.boolean()),
  https: v.optional(httpsField),
  redirect: v.optional(redirectField),
  rewrite: v.optional(rewriteField),
  access: v.optional(accessField),
  auth: v.optional(authField),
  rateLimit: v.optional(rateLimitField),
  limits: v.optional(limitsField),
  headers: v.optional(headersField),
  errorPages: v.optional(errorPagesField),
  compression: v.optional(compressionField),
  timeouts: v.optional(timeoutsField),
  retries: v.optional(retriesField),
  balance: v.optional(balanceField),
  split: v.optional(splitField),
  canary: v.optional(canaryField),
  sticky: v.optional(stickyField),
  check: v.optional(checkField),
  ejection: v.optional(ejectionField),
  slowStart: v.optional(duration),
  maxconn: v.optional(whole(1, 1_000_000)),
  maxqueue: v.optional(whole(1, 1_000_000)),
  protocol: v.optional(v.picklist(['h1', 'h2'])),
  tls: v.optional(tlsField),
  proxyProtocol: v.optional(v.picklist(['v1', 'v2'])),
  preferZone: v.optional(v.boolean()),
  guard: guardField,
});

/** The names of all fields of a policy. */
export const policyFieldNames: readonly string[] = Object.keys(policySchema.entries);

/** Fields that need HAProxy to read the protocol, so that they do not fit `tcp`. */
const httpFields = [
  ...(['hosts', 'paths', 'strip', 'priority', 'match', 'routes', 'https', 'redirect', 'rewrite'] as const),
  ...(['headers', 'compression', 'sticky', 'auth', 'errorPages', 'canary', 'protocol'] as const),
] as const;

function needsHttp(balance: Balance | undefined): boolean {
  return balance !== undefined && isHashed(balance) && balance.kind !== 'source';
}

/** Something that is wrong with a policy; the path leads to the field that it is about. */
export type PolicyProblem = { readonly path: readonly string[]; readonly reason: string };

/** Everything that is wrong with a policy's JSON, so that an operator can fix it all at once. */
export function policyProblems(value: string): readonly PolicyProblem[] {
  const json = parseRecord(value);
  if (!json.ok) return [{ path: [], reason: json.reason }];
  const result = v.safeParse(policySchema, Object.fromEntries(json.value));
  if (!result.success) {
    return result.issues.map((issue) => ({
      path: (issue.path ?? []).map(({ key }) => String(key)),
      reason: wordIssue(issue, 'a policy', describeIssueOfPolicy),
    }));
  }
  // Each field is valid by itself here. Now the combinations are checked.
  const whole = parsePolicy(value);
  if (whole.ok) return [];
  return [{ path: (/^([\w.]+): /.exec(whole.reason)?.[1] ?? '').split('.').filter(Boolean), reason: whole.reason }];
}

/** A mode that people know from other programs gets its own reason. */
function describeIssueOfPolicy(issue: v.BaseIssue<unknown>): string {
  if (v.getDotPath(issue) !== 'mode' || issue.input !== 'udp') return describeIssue(issue);
  return 'HAProxy cannot balance UDP; use IPVS (keepalived), the stream module of nginx, or several addresses in DNS';
}

/** Reads a policy's JSON. An unknown field is refused: it is more likely mistyped than meant for a newer version. */
export function parsePolicy(value: string): Parsed<Policy> {
  const read = parseEntry(value, policySchema, 'a policy', describeIssueOfPolicy);
  if (!read.ok) return read;
  const given = read.value;
  const { mode, port } = given;
  if (mode === 'tcp' && port === undefined)
    return rejected('port: it is missing, and a tcp service needs its own port');
  if (mode === 'http' && port !== undefined)
    return rejected('port: only a tcp service has a port; http services share one');
  const ofTcp = mode === 'http' ? (['sni', 'alpn'] as const).find((field) => given[field] !== undefined) : undefined;
  if (ofTcp !== undefined) return rejected(`${ofTcp}: only a tcp service can have this field`);
  const sni = readSni(given);
  if (!sni.ok) return sni;
  if (sni.value !== undefined && given.timeouts?.clientMs !== undefined)
    return rejected(
      'timeouts.client: a service with sni shares its port, so it cannot have a timeout of its own there',
    );
  const alien = mode === 'tcp' ? httpFields.find((field) => given[field] !== undefined) : undefined;
  if (alien !== undefined) return rejected(`${alien}: only an http service can have this field`);
  if (given.ejection !== undefined && given.check?.kind === 'none')
    return rejected('ejection: it needs a health check, and the check of this policy is none');
  if (mode === 'tcp' && given.retries?.on.length)
    return rejected('retries.on: only an http service can have this field');
  if (mode === 'tcp' && given.rateLimit !== undefined && given.rateLimit.by.kind !== 'client')
    return rejected('rateLimit.by: a tcp service counts by client only');
  const large = mode === 'tcp' ? (['body', 'headers'] as const).find((one) => given.limits?.[one]) : undefined;
  if (large !== undefined) return rejected(`limits.${large}: only an http service can have this field`);
  if (mode === 'tcp' && needsHttp(given.balance))
    return rejected('balance: a tcp service cannot balance by path or header');
  if (given.split !== undefined && given.balance !== undefined && !keepsShares(given.balance)) {
    return rejected(`balance: a split needs roundrobin or random, because ${given.balance.kind} ignores weights`);
  }
  const routes = readRoutes(given);
  if (!routes.ok) return routes;
  return accepted({
    mode,
    port,
    sni: sni.value,
    routes: routes.value,
    maintenance: given.maintenance ?? defaultPolicy.maintenance,
    https: given.https ?? defaultPolicy.https,
    redirect: given.redirect,
    rewrite: given.rewrite ?? defaultPolicy.rewrite,
    access: given.access,
    auth: given.auth,
    rateLimit: given.rateLimit,
    limits: given.limits,
    headers: given.headers ?? defaultPolicy.headers,
    errorPages: given.errorPages,
    compression: given.compression,
    timeouts: given.timeouts ?? defaultPolicy.timeouts,
    retries: given.retries,
    balance: given.balance ?? (given.split === undefined ? defaultBalance[mode] : { kind: 'roundrobin' }),
    split: given.split,
    canary: given.canary,
    sticky: given.sticky,
    check: given.check ?? defaultPolicy.check,
    ejection: given.ejection,
    slowStartMs: given.slowStart,
    maxconn: given.maxconn,
    maxqueue: given.maxqueue,
    protocol: given.protocol ?? defaultPolicy.protocol,
    tls: given.tls,
    proxyProtocol: given.proxyProtocol,
    preferZone: given.preferZone ?? defaultPolicy.preferZone,
    guard: readGuard(given.guard),
  });
}
