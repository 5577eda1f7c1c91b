import * as v from 'valibot';
import { type HeaderName, parseHeaderName } from '../header.ts';
import { parsedText } from './field.ts';

const byLoad = ['leastconn', 'roundrobin', 'random', 'first'] as const;
const byHash = ['source', 'path', 'uri'] as const;

/** How a server is chosen for a request. */
export type Balance =
  | { readonly kind: (typeof byLoad)[number] }
  /**
   * Always the same one for the same source address, path, or path and query. When servers come or go, only requests of
   * their own share move.
   */
  | { readonly kind: (typeof byHash)[number] }
  /** Likewise for the same value of a header. Round robin for requests that do not have it. */
  | { readonly kind: 'header'; readonly name: HeaderName };

/**
 * HTTP requests are short, and by round robin each instance gets its share of them by weight, however many are open at once. By least
 * connections, two idle servers get the same number whatever their weights are. TCP connections last, and are spread by how many are open.
 */
export const defaultBalance: Readonly<Record<'http' | 'tcp', Balance>> = {
  http: { kind: 'roundrobin' },
  tcp: { kind: 'leastconn' },
};

const byName = v.pipe(
  v.picklist([...byLoad, ...byHash]),
  v.transform((kind): Balance => ({ kind })),
);

const byHeader = v.pipe(
  v.strictObject({ header: parsedText(parseHeaderName) }),
  v.transform(({ header }): Balance => ({ kind: 'header', name: header })),
);

/** `"leastconn"` and the like, or `{"header": "X-User"}`. Chosen by its type, so that a message names what is wrong. */
export const balanceField = v.lazy((given): typeof byName | typeof byHeader =>
  typeof given === 'object' ? byHeader : byName,
);

/** Whether equal requests always go to the same server. */
export function isHashed({ kind }: Balance): boolean {
  return kind === 'header' || byHash.some((hash) => hash === kind);
}

/** HAProxy keeps 16 points on the ring for each unit of weight, and takes up to 100 ms for a server among millions of points. */
const mostWeightOnRing = 32_768;
const mostWeight = 256;

/**
 * By what the weights of a hashed service with so many instances are divided, so that the ring stays small: a power of two, by the
 * number of instances alone, so that all balancers divide by the same and seldom by another.
 */
export function divisorOfWeights(balance: Balance, instances: number): number {
  if (!isHashed(balance)) return 1;
  const least = (instances * mostWeight) / mostWeightOnRing;
  return least <= 1 ? 1 : 2 ** Math.ceil(Math.log2(least));
}

/** A weight after that: 0 stays 0, and everything else is at least 1. */
export const dividedWeight = (weight: number, divisor: number): number =>
  weight === 0 ? 0 : Math.max(1, Math.round(weight / divisor));

/** Whether requests fall to servers in proportion to their weights. */
export function keepsShares({ kind }: Balance): boolean {
  return kind === 'roundrobin' || kind === 'random';
}
