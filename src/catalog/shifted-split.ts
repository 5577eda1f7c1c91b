import type { Instance } from '../model/instance.ts';
import { otherVersions, type Split } from '../model/policy/split.ts';
import type { Service } from './service.ts';
import { groupOf, takesPart } from './split.ts';

/**
 * The split that gives a version its share of the requests, in percent, and leaves the rest to those that have requests
 * now, in the proportions that they have now. A version that gets nothing now gets nothing then. Undefined: every request
 * goes to this version already, so nobody could take the rest.
 */
export function shiftedSplit(service: Service, to: string, percent: number): Split | undefined {
  if (percent === 100) return new Map([[to, 100]]);
  const before = splitInForce(service);
  if (before === undefined) {
    return new Map([
      [to, percent],
      [otherVersions, 100 - percent],
    ]);
  }
  const serving = servingOf(service);
  const rest = serving.filter(({ version }) => version !== to);
  const present = new Set(rest.map((one) => groupOf(one, before)));
  // Of the share of all others, this version takes its own part along.
  const left = weightIn(before, otherVersions, rest) / (weightIn(before, otherVersions, serving) || 1);
  const others = [...before]
    .filter(([name]) => name !== to)
    .map(([name, share]): [string, number] => [name, name === otherVersions && left > 0 ? share * left : share]);
  const sum = (shares: typeof others) => shares.reduce((total, [, share]) => total + share, 0);
  // A version without an instance leaves its share to the others. `to` is to get no more than asked for, so the rest is
  // divided among those that are there; one that comes back takes its share from all.
  const whole = sum(others.filter(([name]) => present.has(name))) || sum(others);
  if (whole === 0) return undefined;
  // Without a share for all others, a version that is not named gets nothing anyway.
  const kept = before.has(otherVersions) ? others : others.filter(([, share]) => share > 0);
  const scaled = kept.map(([name, share]): [string, number] => [name, scale(share, (100 - percent) / whole)]);
  return new Map([[to, percent], ...scaled]);
}

/**
 * The split that names every registered version and gives it the share that it has as registered, so that a version which
 * comes later gets nothing. Undefined: the policy's split does this already. Gives an instance without a version where there
 * is one: a split cannot name it.
 */
export function pinnedSplit({ policy, registered }: Service): Split | undefined | { readonly unnamed: Instance } {
  const { split } = policy;
  const whole = split === undefined ? 100 : (split.get(otherVersions) ?? 0);
  if (whole === 0) return undefined;
  const shares = new Map([...(split ?? [])].filter(([name]) => name !== otherVersions));
  const unnamed = [...registered.values()].filter(
    (one) => one.weight > 0 && (split === undefined || groupOf(one, split) === otherVersions),
  );
  const sum = unnamed.reduce((total, { weight }) => total + weight, 0);
  for (const instance of unnamed) {
    const { version, weight } = instance;
    if (version === undefined) return { unnamed: instance };
    shares.set(version, scale((shares.get(version) ?? 0) + (whole * weight) / sum, 1));
  }
  return shares;
}

/** The policy's split; undefined without one, and where it does not count because no version with a share is ready. */
function splitInForce(service: Service): Split | undefined {
  const { split } = service.policy;
  if (split === undefined) return undefined;
  return servingOf(service).some((one) => (split.get(groupOf(one, split)) ?? 0) > 0) ? split : undefined;
}

const weightIn = (split: Split, name: string, instances: readonly Instance[]): number =>
  instances.reduce((sum, one) => sum + (groupOf(one, split) === name ? one.weight : 0), 0);

const servingOf = ({ instances }: Service): readonly Instance[] => [...instances.values()].filter(takesPart);

/** Ten digits are enough for any share, and 33.300000000000004 is nothing to show to a person. */
const scale = (share: number, by: number): number => Number((share * by).toPrecision(10));
