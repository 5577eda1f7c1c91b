import { Map as PersistentMap } from 'immutable';
import { patternsOver, rankOf } from '../model/route.ts';
import type { RouteTarget } from '../model/route-target.ts';
import { overlap } from './route-set.ts';

type Paths = PersistentMap<string, RouteTarget>;
type Bucket = PersistentMap<string, Paths>;

/** How a change is made: within `withMutations`. */
type RouteMapDraft = {
  set(route: string, target: RouteTarget): void;
  delete(route: string): void;
};

// A map shares the buckets that did not change with the map that it was made from.
const bucketCount = 64;
const emptyBucket: Bucket = PersistentMap();
const noPaths: Paths = PersistentMap();

/**
 * The routes, and the states of services, by their keys in HAProxy's map. A value: a change makes another one, which shares what did
 * not change. So the difference of two of them costs what differs, however many routes there are.
 */
export class RouteMap implements Iterable<readonly [route: string, target: RouteTarget]> {
  static readonly empty = new RouteMap(Array<Bucket>(bucketCount).fill(emptyBucket));

  readonly #buckets: readonly Bucket[];

  private constructor(buckets: readonly Bucket[]) {
    this.#buckets = buckets;
  }

  static of(routes: Iterable<readonly [route: string, target: RouteTarget]>): RouteMap {
    return RouteMap.empty.withMutations((draft) => {
      for (const [route, target] of routes) draft.set(route, target);
    });
  }

  get(route: string): RouteTarget | undefined {
    const { host, path } = split(route);
    return this.#at(host).get(path);
  }

  has(route: string): boolean {
    return this.get(route) !== undefined;
  }

  set(route: string, target: RouteTarget): RouteMap {
    return this.withMutations((draft) => draft.set(route, target));
  }

  delete(route: string): RouteMap {
    return this.withMutations((draft) => draft.delete(route));
  }

  /** With these changes; this very map when they change nothing. */
  withMutations(change: (draft: RouteMapDraft) => void): RouteMap {
    const open = new Map<number, Bucket>();
    const replace = (host: string, update: (paths: Paths) => Paths) => {
      const at = bucketOf(host);
      const bucket = open.get(at) ?? this.#buckets[at] ?? emptyBucket;
      const before = bucket.get(host, noPaths);
      const after = update(before);
      if (after === before) return;
      const mutable = open.get(at) ?? bucket.asMutable();
      open.set(at, after.isEmpty() ? mutable.delete(host) : mutable.set(host, after));
    };
    change({
      set(route, target) {
        const { host, path } = split(route);
        replace(host, (paths) => paths.set(path, target));
      },
      delete(route) {
        const { host, path } = split(route);
        replace(host, (paths) => paths.delete(path));
      },
    });
    if (open.size === 0) return this;
    const buckets = [...this.#buckets];
    for (const [at, bucket] of open) buckets[at] = bucket.asImmutable();
    return new RouteMap(buckets);
  }

  *[Symbol.iterator](): Generator<readonly [route: string, target: RouteTarget]> {
    for (const bucket of this.#buckets) {
      if (bucket.isEmpty()) continue;
      for (const [host, paths] of bucket) for (const [path, target] of paths) yield [host + path, target];
    }
  }

  *keys(): Generator<string> {
    for (const [route] of this) yield route;
  }

  /** The routes in which the two maps differ: with another target, or in one of them only. */
  differences(other: RouteMap): readonly string[] {
    const found: string[] = [];
    for (const [at, mine] of this.#buckets.entries()) {
      const theirs = other.#buckets[at] ?? emptyBucket;
      if (mine !== theirs) for (const route of differing(mine, theirs)) found.push(route);
    }
    return found;
  }

  equals(other: RouteMap): boolean {
    // Asked after each of many commands, when there may be very many differences: the first one tells.
    return this.#buckets.every((mine, at) => {
      const theirs = other.#buckets[at] ?? emptyBucket;
      return mine === theirs || differing(mine, theirs).next().done === true;
    });
  }

  /** The routes that requests of this route would find without it. */
  *over(route: string): Generator<readonly [route: string, target: RouteTarget]> {
    const { host, path } = split(route);
    for (const pattern of this.#hostsOver(host)) {
      for (const [other, target] of this.#at(pattern)) {
        const related = other.startsWith(path) || path.startsWith(other);
        if (related && (pattern !== host || other.length < path.length)) yield [pattern + other, target];
      }
    }
  }

  /** The targets of the routes with this host pattern. */
  targetsOn(host: string): Iterable<RouteTarget> {
    return this.#at(host).values();
  }

  #at(host: string): Paths {
    return this.#buckets[bucketOf(host)]?.get(host) ?? noPaths;
  }

  /** This host pattern, and the less exact ones that match some of the same hosts. */
  *#hostsOver(host: string): Generator<string> {
    // Any `shop.*` shares hosts with `*.example.com`: these are not found by their name.
    if (rankOf(host) !== 1) yield* patternsOver(host);
    else {
      yield host;
      for (const bucket of this.#buckets)
        for (const other of bucket.keys()) if (rankOf(other) > 1 && overlap(other, host)) yield other;
    }
  }
}

function* differing(mine: Bucket, theirs: Bucket): Generator<string> {
  for (const [host, paths] of mine) {
    const others = theirs.get(host, noPaths);
    if (paths === others) continue;
    for (const [path, target] of paths) if (others.get(path) !== target) yield host + path;
    for (const path of others.keys()) if (!paths.has(path)) yield host + path;
  }
  for (const [host, paths] of theirs) {
    if (!mine.has(host)) for (const path of paths.keys()) yield host + path;
  }
}

/** States of services have no path. */
function split(route: string): { readonly host: string; readonly path: string } {
  const slash = route.indexOf('/');
  return slash === -1 ? { host: route, path: '' } : { host: route.slice(0, slash), path: route.slice(slash) };
}

function bucketOf(host: string): number {
  let hash = 0;
  for (let i = 0; i < host.length; i += 1) hash = (Math.imul(hash, 31) + host.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 16)) & (bucketCount - 1);
}
