import type { Cidr } from '../model/cidr.ts';
import type { HeaderName } from '../model/header.ts';
import type { HeaderChanges } from '../model/policy/headers.ts';
import { type Route, segmentsOf } from '../model/policy/routes.ts';
import type { Timeouts } from '../model/policy/timeouts.ts';
import type { Policy } from '../model/policy.ts';
import { ConfigWord } from './config-word.ts';

/** What `policy.mustache` sees, beside the name `policy` that it has to give to its section. */
export type PolicyView = {
  readonly http: boolean;
  readonly tcp: boolean;
  readonly balance: string;
  readonly timeouts: readonly { readonly phase: 'connect' | 'server' | 'queue' | 'tunnel'; readonly time: string }[];
  /** Stands for itself, because HAProxy takes it only as a rule. */
  readonly clientTimeout: string | undefined;
  readonly retries: string | undefined;
  /** After what else than a connection that failed a request is tried again. */
  readonly retryOn: { readonly events: readonly string[] } | undefined;
  readonly compression: { readonly types: readonly string[] } | undefined;
  /** Set for an HTTP health check only. */
  readonly httpCheck: { readonly path: string } | undefined;
  /** In lists that fit into a line each. */
  readonly deny: readonly { readonly networks: readonly Cidr[] }[];
  readonly allow: readonly { readonly networks: readonly Cidr[] }[];
  /** Whether nobody else than `allow` may ask. */
  readonly allowOnly: boolean;
  readonly rateLimit: { readonly requests: number; readonly period: string; readonly seconds: number } | undefined;
  readonly httpsRedirect: boolean;
  /** Each number of segments that one of its routes takes off the path, and the number of the field behind them. */
  readonly strips: readonly { readonly segments: number; readonly after: number }[];
  /** In order; `value` is written as HAProxy's format. */
  readonly requestHeaders: readonly HeaderAction[];
  readonly responseHeaders: readonly HeaderAction[];
};

type HeaderAction = {
  readonly action: 'del' | 'set' | 'add';
  readonly name: HeaderName;
  readonly value: ConfigWord | undefined;
};

export const policyNames = [
  ...['http', 'tcp', 'balance', 'timeouts', 'phase', 'time', 'clientTimeout', 'retries', 'retryOn', 'events'],
  ...['compression', 'types', 'httpCheck', 'path', 'deny', 'allow', 'networks', 'allowOnly'],
  ...['rateLimit', 'requests', 'period', 'seconds', 'httpsRedirect', 'strips', 'segments', 'after'],
  ...['requestHeaders', 'responseHeaders', 'action', 'name', 'value'],
] as const;

export function policyView(policy: Policy): PolicyView {
  const { access, rateLimit, retries, timeouts } = policy;
  return {
    http: policy.mode === 'http',
    tcp: policy.mode === 'tcp',
    balance: policy.balance,
    timeouts: timeoutsOf(timeouts),
    clientTimeout: timeouts.clientMs === undefined ? undefined : `${timeouts.clientMs}ms`,
    // Mustache takes the number 0 for nothing.
    retries: retries?.count === undefined ? undefined : String(retries.count),
    retryOn: retries === undefined || retries.on.length === 0 ? undefined : { events: retries.on },
    compression: policy.compression,
    httpCheck: policy.check.kind === 'http' ? { path: policy.check.path } : undefined,
    deny: inLines(access?.deny ?? []),
    allow: inLines(access?.allow ?? []),
    allowOnly: access !== undefined && access.allow.length > 0,
    rateLimit: rateLimit && {
      requests: rateLimit.requests,
      period: `${rateLimit.perMs}ms`,
      seconds: Math.ceil(rateLimit.perMs / 1000),
    },
    httpsRedirect: policy.https === 'redirect',
    strips: strippedSegments(policy.routes).map((segments) => ({ segments, after: segments + 2 })),
    requestHeaders: headerActions(policy.headers.request),
    responseHeaders: headerActions(policy.headers.response),
  };
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

function inLines(networks: readonly Cidr[]): PolicyView['deny'] {
  const lines = [];
  for (let at = 0; at < networks.length; at += networksPerLine) {
    lines.push({ networks: networks.slice(at, at + networksPerLine) });
  }
  return lines;
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
