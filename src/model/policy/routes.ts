import * as v from 'valibot';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import {
  mergeSlashes,
  type PathPrefix,
  parseHostPattern,
  parsePathPrefix,
  patternsOver,
  type Route,
} from '../route.ts';
import { parsedText, whole } from './field.ts';
import { matchField } from './match.ts';

const root = '/' as PathPrefix;

/** Everything that asks for the service by its name. */
export const defaultRoute: Route = { hosts: [], paths: [root], strip: false, priority: 0, match: undefined };

// A prefix is stripped by counting its segments, and each count is a rule of its own in haproxy.cfg.
const mostSegments = 8;

// Each pair of a host and a path is a line of the route map: 64 routes of 64 hosts and 64 paths would be 262,144.
const mostKeys = 1024;

// The routes that its priorities may add, where its own hosts match the same requests.
const mostFurtherKeys = 4096;

const fields = {
  hosts: v.optional(v.pipe(v.array(parsedText(parseHostPattern)), v.maxLength(64))),
  paths: v.optional(v.pipe(v.array(parsedText(parsePathPrefix)), v.minLength(1), v.maxLength(64))),
  strip: v.optional(v.boolean()),
  priority: v.optional(whole(-1000, 1000)),
  match: v.optional(matchField),
};

/** A service's routes: the fields of one route in the policy itself, or a list of several. */
export const routeFields = {
  ...fields,
  routes: v.optional(v.pipe(v.array(v.strictObject(fields)), v.minLength(1), v.maxLength(64))),
};

type GivenRoute = { readonly [F in keyof Route]?: Route[F] | undefined };
type GivenRoutes = GivenRoute & { readonly routes?: readonly GivenRoute[] | undefined };

export function readRoutes({ routes, hosts, paths, strip, priority, match }: GivenRoutes): Parsed<readonly Route[]> {
  const one = { hosts, paths, strip, priority, match };
  const beside = Object.entries(one).find(([, value]) => value !== undefined);
  if (routes !== undefined && beside !== undefined) {
    return rejected(`${beside[0]}: a policy with routes sets it in each route`);
  }
  const read = (routes ?? [one]).map(readRoute);
  const keys = read.reduce((sum, { hosts, paths }) => sum + Math.max(hosts.length, 2) * paths.length, 0);
  if (keys > mostKeys) return rejected(`routes: ${keys} pairs of a host and a path are more than ${mostKeys}`);
  const further = furtherKeys(read);
  if (further > mostFurtherKeys) {
    return rejected(
      `priority: a less specific host before a more specific one needs ${further} further entries of the route map, more than ${mostFurtherKeys}`,
    );
  }
  const deep = read
    .flatMap((route) => (route.strip ? route.paths : []))
    .find((path) => segmentsOf(path) > mostSegments);
  return deep === undefined ? accepted(read) : rejected(`strip: ${quote(deep)} has more than ${mostSegments} segments`);
}

function readRoute({ hosts, paths, strip, priority, match }: GivenRoute): Route {
  return {
    hosts: hosts ?? defaultRoute.hosts,
    paths: (paths ?? defaultRoute.paths).map(mergeSlashes),
    strip: strip ?? defaultRoute.strip,
    priority: priority ?? defaultRoute.priority,
    match,
  };
}

/** How many segments a prefix has: 2 for `/api/v1`, none for `/`. */
export function segmentsOf(path: string): number {
  const slashes = path.split('/').length - 1;
  return path.endsWith('/') ? slashes - 1 : slashes;
}

/** The paths of one policy on one host. */
type OnHost = { paths: number; max: number; min: number };

/**
 * How many keys the priorities of one policy may add to the route map: where a less exact host has the higher priority, each of
 * its paths is a key of every more exact host that it matches, and of every host that `shop.*` and `*.example.com` share.
 */
function furtherKeys(routes: readonly Route[]): number {
  const hosts = new Map<string, OnHost>();
  for (const { hosts: given, paths, priority } of routes) {
    // The service's own name and `<name>.*`; no other service's policy is read here.
    for (const host of given.length > 0 ? given : ['', '.*']) {
      const known = hosts.get(host) ?? { paths: 0, max: priority, min: priority };
      hosts.set(host, {
        paths: known.paths + paths.length,
        max: Math.max(known.max, priority),
        min: Math.min(known.min, priority),
      });
    }
  }
  let keys = 0;
  for (const [host, { min }] of hosts) {
    for (const pattern of patternsOver(host).slice(1)) {
      const over = hosts.get(pattern);
      if (over !== undefined && over.max > min) keys += over.paths;
    }
  }
  const domains = [...hosts].filter(([host]) => host.startsWith('*.'));
  for (const [host, label] of hosts) {
    if (!host.endsWith('.*')) continue;
    for (const [, domain] of domains) if (label.max > domain.min) keys += label.paths + domain.paths;
  }
  return keys;
}
