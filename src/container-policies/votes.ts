import type { LabelPolicy } from '../model/label-policy.ts';
import type { ServiceName } from '../model/name.ts';
import type { ContainerPolicy } from './choose-policies.ts';

/**
 * Remembers which containers were announced: one that is unhealthy for a moment, or that the agent checks again after its own restart,
 * still counts as announced, so that the policy does not come and go with it.
 */
export class Votes {
  #announced = new Set<string>();

  /** Takes over what a former agent of this host wrote. */
  takeOver(former: Iterable<readonly [ServiceName, LabelPolicy]>): void {
    for (const [service, { container, created, announced }] of former) {
      if (announced) this.#announced.add(keyOf({ service, container, created }));
    }
  }

  /** Counts as announced who was so before, and forgets the containers that are gone. */
  count(asked: readonly ContainerPolicy[]): readonly ContainerPolicy[] {
    const counted = asked.map((one) => ({ ...one, announced: one.announced || this.#announced.has(keyOf(one)) }));
    this.#announced = new Set(counted.filter(({ announced }) => announced).map(keyOf));
    return counted;
  }
}

const keyOf = ({ service, container, created }: Pick<ContainerPolicy, 'service' | 'container' | 'created'>): string =>
  `${service} ${created} ${container}`;
