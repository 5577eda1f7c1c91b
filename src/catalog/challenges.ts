import type { Challenge } from '../model/acme/challenge.ts';
import type { Catalog } from './catalog.ts';

/** Far more than an authority asks for the certificates that the leader orders at once. */
const mostChallenges = 1000;

export const beyondChallenges = `there are ${mostChallenges} challenges already, the most that a balancer answers`;

/** The challenges of a fold while it is made. */
export class ChallengeFold {
  readonly #challenges: Catalog['challenges'];
  #changed = false;

  constructor({ challenges }: Pick<Catalog, 'challenges'>) {
    this.#challenges = challenges.asMutable();
  }

  get changed(): boolean {
    return this.#changed;
  }

  hasRoomFor(token: string): boolean {
    return this.#challenges.size < mostChallenges || this.#challenges.has(token);
  }

  set(token: string, challenge: Challenge): void {
    const before = this.#challenges.get(token);
    if (before?.host === challenge.host && before.answer === challenge.answer) return;
    this.#challenges.set(token, challenge);
    this.#changed = true;
  }

  delete(token: string): void {
    if (!this.#challenges.has(token)) return;
    this.#challenges.delete(token);
    this.#changed = true;
  }

  result(): Catalog['challenges'] {
    return this.#challenges.asImmutable();
  }
}
