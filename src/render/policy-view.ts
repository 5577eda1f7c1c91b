import type { Cidr } from '../model/address.ts';
import type { CookieName, HeaderName } from '../model/header.ts';
import { type Balance, isHashed } from '../model/policy/balance.ts';
import { formatStatusRange, type ServerCheck } from '../model/policy/check.ts';
import type { ErrorPages } from '../model/policy/error-pages.ts';
import type { HeaderChanges } from '../model/policy/headers.ts';
import { waitsForCertificate } from '../model/policy/https.ts';
import { segmentsOf } from '../model/policy/routes.ts';
import type { Sticky } from '../model/policy/sticky.ts';
import type { Timeouts } from '../model/policy/timeouts.ts';
import type { Tls } from '../model/policy/tls.ts';
import type { Policy } from '../model/policy.ts';
import type { Route } from '../model/route.ts';
import { ConfigWord } from '../template/config-word.ts';
import { type AuthView, authNames, authView } from './auth-view.ts';
import { type ForwardAuthView, forwardAuthNames, forwardAuthView } from './forward-auth-view.ts';
import { grpcCheckRequest, grpcServing } from './grpc-check.ts';
import { type LimitsView, limitNames, limitsView, type RateLimitView, rateLimitView } from './limits-view.ts';
import {
  httpsRedirectView,
  type PathChangeView,
  pathChangeView,
  type RedirectView,
  redirectNames,
  redirectView,
} from './redirect-view.ts';

/**
 * The view of `policy.mustache`, without the name `policy` that it has to give to its section, and without the paths
 * `peersSocket`, which no other policy has, `ratesMap` and `routesMap`.
 */
export type PolicyView = AuthView & {
  readonly http: boolean;
  readonly tcp: boolean;
  /** `leastconn` and the like; undefined where `hash` says what counts. */
  readonly balance: string | undefined;
  readonly hash: HashView | undefined;
  readonly cookie: CookieView | undefined;
  readonly timeouts: readonly { readonly phase: 'connect' | 'server' | 'queue' | 'tunnel'; readonly time: string }[];
  /** Stands for itself, because HAProxy takes it only as a rule. */
  readonly clientTimeout: string | undefined;
  readonly retries: string | undefined;
  /** After what else than a connection that failed a request is tried again. */
  readonly retryOn: { readonly events: readonly string[] } | undefined;
  readonly compression: { readonly types: readonly string[] } | undefined;
  readonly checkTimeout: string | undefined;
  readonly httpCheck: HttpCheckView | undefined;
  /** In hexadecimal. */
  readonly grpcCheck: { readonly request: string; readonly serving: string } | undefined;
  /** The files that HAProxy has to load before it can add a server that uses them. */
  readonly pemFiles: { readonly ca: string | undefined; readonly certificate: string | undefined } | undefined;
  /** In lists that fit into a line each. */
  readonly deny: readonly { readonly networks: readonly Cidr[] }[];
  readonly allow: readonly { readonly networks: readonly Cidr[] }[];
  /** Whether only clients in `allow` may ask. */
  readonly allowOnly: boolean;
  readonly forwardAuth: ForwardAuthView | undefined;
  readonly rateLimit: RateLimitView | undefined;
  readonly limits: LimitsView | undefined;
  /** Whether `rateLimit` or `limits` counts by client. */
  readonly countsClients: boolean;
  /** `port` is left out where a URL does without. */
  readonly httpsRedirect: { readonly port: number | undefined } | undefined;
  /** Whether clients are sent to HTTPS only if the host has a certificate. */
  readonly waitsForCertificate: boolean;
  readonly redirect: RedirectView | undefined;
  /** In order. */
  readonly rewrites: readonly PathChangeView[];
  readonly rewriting: boolean;
  /** Each number of segments that one of its routes takes off the path, and the number of the field behind them. */
  readonly strips: readonly { readonly segments: number; readonly after: number }[];
  readonly errorPages: readonly ErrorPageView[];
  readonly interceptedErrors: readonly ErrorPageView[];
  /** The page of a request beyond the rate limit; undefined: a line of text. */
  readonly limitPage: string | undefined;
  /** In order; `value` is written as HAProxy's format. */
  readonly requestHeaders: readonly HeaderAction[];
  readonly responseHeaders: readonly HeaderAction[];
};

type HashView = {
  readonly bySource: boolean;
  readonly byPath: boolean;
  readonly byUri: boolean;
  readonly byHeader: HeaderName | undefined;
};

type CookieView = {
  readonly cookieName: CookieName;
  readonly secure: boolean;
  readonly sameSite: string | undefined;
  readonly key: string;
};

type HttpCheckView = {
  readonly method: string;
  readonly path: ConfigWord;
  /** Undefined: the service's name. */
  readonly host: string | undefined;
  /** As HAProxy takes it, `200-299,404`; undefined is 200 to 399. */
  readonly status: string | undefined;
  readonly body: ConfigWord | undefined;
};

export type ErrorPageView = { readonly status: number; readonly page: string };

type HeaderAction = {
  readonly action: 'del' | 'set' | 'add';
  readonly name: HeaderName;
  readonly value: ConfigWord | undefined;
};

/** The settings that policies need: where the files are that they name. */
export type PolicySettings = {
  readonly pemFolder: string;
  readonly authMap: string;
  readonly clientCertificates: string;
  readonly errorPages: string;
  readonly defaultErrorPages?: ErrorPages['own'] | undefined;
};

export const policyNames = [
  ...['http', 'tcp', 'balance', 'timeouts', 'phase', 'time', 'clientTimeout', 'retries', 'retryOn', 'events'],
  ...forwardAuthNames,
  ...['compression', 'types', 'deny', 'allow', 'networks', 'allowOnly'],
  ...['hash', 'bySource', 'byPath', 'byUri', 'byHeader', 'cookie', 'cookieName', 'secure', 'sameSite', 'key'],
  ...['checkTimeout', 'httpCheck', 'method', 'path', 'host', 'status', 'body', 'grpcCheck', 'request', 'serving'],
  ...['pemFiles', 'ca', 'certificate'],
  ...limitNames,
  ...redirectNames,
  ...['strips', 'segments', 'after'],
  ...['errorPages', 'interceptedErrors', 'page', 'limitPage'],
  ...authNames,
  ...['requestHeaders', 'responseHeaders', 'action', 'name', 'value'],
] as const;

export function policyView(policy: Policy, settings: PolicySettings): PolicyView {
  const { access, rateLimit, limits, retries, timeouts } = policy;
  const { pemFolder, errorPages } = settings;
  return {
    http: policy.mode === 'http',
    tcp: policy.mode === 'tcp',
    balance: isHashed(policy.balance) ? undefined : policy.balance.kind,
    hash: hashView(policy.balance),
    cookie: policy.sticky?.to === 'server' ? cookieView(policy.sticky) : undefined,
    timeouts: timeoutsOf(timeouts),
    clientTimeout: milliseconds(timeouts.clientMs),
    // Mustache takes the number 0 for nothing.
    retries: retries?.count === undefined ? undefined : String(retries.count),
    retryOn: retries === undefined || retries.on.length === 0 ? undefined : { events: retries.on },
    compression: policy.compression,
    checkTimeout: policy.check.kind === 'none' ? undefined : milliseconds(policy.check.timeoutMs),
    httpCheck: httpCheckView(policy.check),
    grpcCheck: grpcCheckView(policy),
    pemFiles: pemFilesView(policy.tls, pemFolder),
    deny: inLines(access?.deny ?? []),
    allow: inLines(access?.allow ?? []),
    allowOnly: access !== undefined && access.allow.length > 0,
    forwardAuth: policy.auth?.forward && forwardAuthView(policy.auth.forward),
    rateLimit: rateLimit && rateLimitView(rateLimit),
    limits: limits && limitsView(limits),
    countsClients: rateLimit !== undefined || limits?.requests !== undefined,
    httpsRedirect: httpsRedirectView(policy.https),
    waitsForCertificate: waitsForCertificate(policy.https),
    redirect: policy.redirect && redirectView(policy.redirect, policy.https),
    rewrites: policy.rewrite.map(pathChangeView),
    rewriting: policy.rewrite.length > 0,
    ...authView(policy.auth, settings),
    strips: strippedSegments(policy.routes).map((segments) => ({ segments, after: segments + 2 })),
    errorPages: errorPageViews(policy.errorPages?.own, errorPages),
    interceptedErrors: errorPageViews(policy.errorPages?.ofServers, errorPages),
    limitPage: limitPageOf(policy, settings),
    requestHeaders: headerActions(policy.headers.request),
    responseHeaders: headerActions(policy.headers.response),
  };
}

/** As HAProxy takes a time. */
export function milliseconds(ms: number): string;
export function milliseconds(ms: number | undefined): string | undefined;
export function milliseconds(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${ms}ms`;
}

function hashView(balance: Balance): HashView | undefined {
  if (!isHashed(balance)) return undefined;
  const { kind } = balance;
  const byHeader = balance.kind === 'header' ? balance.name : undefined;
  return { bySource: kind === 'source', byPath: kind === 'path', byUri: kind === 'uri', byHeader };
}

function cookieView({ cookie: cookieName, secure, sameSite, key }: Sticky): CookieView {
  return { cookieName, secure, sameSite, key };
}

function httpCheckView(check: ServerCheck): HttpCheckView | undefined {
  if (check.kind !== 'http') return undefined;
  const { method, path, host, status, body } = check;
  return {
    method,
    path: ConfigWord.of(path),
    host,
    status: status.length === 0 ? undefined : status.map(formatStatusRange).join(),
    body: body === undefined ? undefined : ConfigWord.of(body),
  };
}

function grpcCheckView({ check, tls }: Policy): PolicyView['grpcCheck'] {
  if (check.kind !== 'grpc') return undefined;
  const overTls = tls !== undefined && check.port === undefined;
  return { request: grpcCheckRequest(check.service, overTls), serving: grpcServing };
}

function pemFilesView(tls: Tls | undefined, folder: string): PolicyView['pemFiles'] {
  const ca = tls && authorityFile(tls, folder);
  const certificate = tls && certificateFile(tls, folder);
  return ca === undefined && certificate === undefined ? undefined : { ca, certificate };
}

/** The file for `ca-file`; undefined: certificates are not verified. */
export function authorityFile({ authority }: Tls, folder: string): string | undefined {
  if (authority === undefined) return undefined;
  return authority.kind === 'system' ? '@system-ca' : `${folder}/${authority.file}`;
}

/** The file for `crt`. */
export function certificateFile({ certificate }: Tls, folder: string): string | undefined {
  return certificate === undefined ? undefined : `${folder}/${certificate}`;
}

function timeoutsOf({ connectMs, serverMs, queueMs, tunnelMs }: Timeouts): PolicyView['timeouts'] {
  const given = { connect: connectMs, server: serverMs, queue: queueMs, tunnel: tunnelMs } as const;
  return (['connect', 'server', 'queue', 'tunnel'] as const).flatMap((phase) => {
    const ms = given[phase];
    return ms === undefined ? [] : [{ phase, time: `${ms}ms` }];
  });
}

// A line of a haproxy.cfg has 64 words at most.
const networksPerLine = 48;

/** Networks in lists that fit into a line each. */
export function inLines(networks: readonly Cidr[]): PolicyView['deny'] {
  const lines = [];
  for (let at = 0; at < networks.length; at += networksPerLine) {
    lines.push({ networks: networks.slice(at, at + networksPerLine) });
  }
  return lines;
}

/** Pages by status, with their files in this folder. */
export function errorPageViews(pages: ErrorPages['own'] | undefined, folder: string): readonly ErrorPageView[] {
  return [...(pages ?? [])].map(([status, name]) => ({ status, page: `${folder}/${name}.html` }));
}

function limitPageOf(
  { errorPages: own }: Policy,
  { errorPages, defaultErrorPages }: PolicySettings,
): string | undefined {
  const all = [...errorPageViews(own?.own, errorPages), ...errorPageViews(defaultErrorPages, errorPages)];
  return all.find(({ status }) => status === 429)?.page;
}

function strippedSegments(routes: readonly Route[]): readonly number[] {
  const counts = new Set(routes.filter(({ strip }) => strip).flatMap(({ paths }) => paths.map(segmentsOf)));
  counts.delete(0);
  return [...counts].sort((a, b) => a - b);
}

function headerActions({ remove, set, add }: HeaderChanges): readonly HeaderAction[] {
  return [
    ...remove.map((name) => ({ action: 'del', name, value: undefined }) as const),
    ...set.map(({ name, value }) => ({ action: 'set', name, value: ConfigWord.format(value) }) as const),
    ...add.map(({ name, value }) => ({ action: 'add', name, value: ConfigWord.format(value) }) as const),
  ];
}
