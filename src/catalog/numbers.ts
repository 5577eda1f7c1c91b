import { hash } from 'node:crypto';
import type { Map as PersistentMap } from 'immutable';
import type { InstanceId } from '../model/name.ts';

/** Who of a service's instances asks for each number, the least name first: that one has it. */
export type Numbers = PersistentMap<number, readonly InstanceId[]>;

/** A join makes this of them. */
export function withNumber(numbers: Numbers, id: InstanceId): Numbers {
  const number = numberFor(id);
  const askers = numbers.get(number) ?? [];
  return askers.includes(id) ? numbers : numbers.set(number, [...askers, id].sort());
}

/** A leave makes this of them. */
export function withoutNumber(numbers: Numbers, id: InstanceId): Numbers {
  const number = numberFor(id);
  const left = (numbers.get(number) ?? []).filter((asker) => asker !== id);
  return left.length === 0 ? numbers.delete(number) : numbers.set(number, left);
}

/** The instance's number; undefined when another has it, so that HAProxy finds one for it. */
export function numberOf(numbers: Numbers, id: InstanceId): number | undefined {
  const number = numberFor(id);
  return numbers.get(number)?.[0] === id ? number : undefined;
}

/** Whose number depends on whether this instance is there, with itself. */
export function askersBeside(numbers: Numbers, id: InstanceId): readonly InstanceId[] {
  return numbers.get(numberFor(id)) ?? [];
}

/**
 * From 1 to 2^31 - 1, HAProxy's largest, and the same on every balancer. Two of 10,000 instances ask for one in a service
 * of 43, two of 1,000 in one of 4,300.
 */
function numberFor(id: InstanceId): number {
  return (Number.parseInt(hash('sha256', id, 'hex').slice(0, 8), 16) % 0x7fff_ffff) + 1;
}
