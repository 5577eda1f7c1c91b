import type { RateCount } from './rate-counts.ts';

type Limit = { readonly requests: number; readonly perMs: number };

/** How often the balancers look at their counts, in ms. */
export const lookEveryMs = 1000;

/**
 * How many requests of one key this balancer may let pass in the time of the limit. `counts` has one item for each balancer,
 * that of this balancer first. The shares of all balancers together are the limit, whatever their loads are.
 *
 * A balancer may pass what it passed already, and a part of what nobody passed, by how many of its requests were refused. From
 * there the shares move towards the demand. They move as slowly as the counts forget: if a client goes to another balancer, its
 * requests at the first one still count.
 */
export function shareOf({ requests, perMs }: Limit, counts: readonly [RateCount, ...RateCount[]]): number {
  const [own] = counts;
  const asked = sum(counts.map((one) => one.asked));
  const passed = sum(counts.map((one) => one.passed));
  const refused = sum(counts.map(refusedOf));
  const free = Math.max(0, requests - passed);
  const part = refused > 0 ? refusedOf(own) / refused : 1 / counts.length;
  const base = own.passed * (passed > requests ? requests / passed : 1) + free * part;
  const demanded = asked > requests ? (requests * own.asked) / asked : own.asked + (requests - asked) / counts.length;
  const speed = Math.min(1, lookEveryMs / perMs);
  return base + speed * (demanded - base);
}

const refusedOf = ({ asked, passed }: RateCount): number => Math.max(0, asked - passed);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/**
 * As how many thousandths of a request one request counts, so that `requests` are reached when the share is used up. One request
 * always passes.
 */
export function weightOf(requests: number, share: number): number {
  const most = requests * 1000;
  return share * 1000 <= 1 ? most : Math.min(most, Math.max(1, Math.round(most / share)));
}
