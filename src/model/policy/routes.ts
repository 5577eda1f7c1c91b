import * as v from 'valibot';
import { accepted, type Parsed, quote, refused } from '../parsed.ts';
import { mergeSlashes, type PathPrefix, parseHostPattern, parsePathPrefix, type Route } from '../route.ts';
import { parsedText, whole } from './field.ts';
import { furtherKeys } from './further-keys.ts';

const root = '/' as PathPrefix;

/** Everything that asks for the service by its name. */
export const defaultRoute: Route = { hosts: [], paths: [root], strip: false, priority: 0 };

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
};

/** A service's routes: the fields of one route in the policy itself, or a list of several. */
export const routeFields = {
  ...fields,
  routes: v.optional(v.pipe(v.array(v.strictObject(fields)), v.minLength(1), v.maxLength(64))),
};

type GivenRoute = { readonly [F in keyof Route]?: Route[F] | undefined };
type GivenRoutes = GivenRoute & { readonly routes?: readonly GivenRoute[] | undefined };

export function readRoutes({ routes, hosts, paths, strip, priority }: GivenRoutes): Parsed<readonly Route[]> {
  const one = { hosts, paths, strip, priority };
  const beside = Object.entries(one).find(([, value]) => value !== undefined);
  if (routes !== undefined && beside !== undefined) {
    return refused(`${beside[0]}: beside routes it belongs into each of them`);
  }
  const read = (routes ?? [one]).map(readRoute);
  const keys = read.reduce((sum, { hosts, paths }) => sum + Math.max(hosts.length, 2) * paths.length, 0);
  if (keys > mostKeys) return refused(`routes: ${keys} pairs of a host and a path are more than ${mostKeys}`);
  const further = furtherKeys(read);
  if (further > mostFurtherKeys) {
    return refused(
      `priority: a less exact host before a more exact one takes ${further} further entries of the route map, more than ${mostFurtherKeys}`,
    );
  }
  const deep = read
    .flatMap((route) => (route.strip ? route.paths : []))
    .find((path) => segmentsOf(path) > mostSegments);
  return deep === undefined ? accepted(read) : refused(`strip: ${quote(deep)} has more than ${mostSegments} segments`);
}

function readRoute({ hosts, paths, strip, priority }: GivenRoute): Route {
  return {
    hosts: hosts ?? defaultRoute.hosts,
    paths: (paths ?? defaultRoute.paths).map(mergeSlashes),
    strip: strip ?? defaultRoute.strip,
    priority: priority ?? defaultRoute.priority,
  };
}

/** How many segments a prefix has: 2 for `/api/v1`, none for `/`. */
export function segmentsOf(path: string): number {
  const slashes = path.split('/').length - 1;
  return path.endsWith('/') ? slashes - 1 : slashes;
}
