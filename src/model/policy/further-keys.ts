import { patternsOver } from '../host-patterns.ts';
import type { Route } from '../route.ts';

/** The paths of one policy on one host. */
type OnHost = { paths: number; max: number; min: number };

/**
 * How many keys the priorities of one policy may add to the route map: where a less exact host has the higher priority, each of
 * its paths is a key of every more exact host that it matches, and of every host that `shop.*` and `*.example.com` share.
 */
export function furtherKeys(routes: readonly Route[]): number {
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
