import type { Member } from './member-source.ts';

// With the pauses between rounds about as long as an election takes.
const passedOver = 4;

/**
 * Which member is asked next: one after the other, in an order of our own. One that did not answer at all is passed over for
 * some rounds, because finding that out costs seconds each time, while the others may only be choosing a leader.
 */
export class Rotation {
  readonly #random: () => number;
  #order: readonly Member[] = [];
  #at = 0;
  #round = 0;
  /** By address, the round from which on a member is asked again. */
  readonly #again = new Map<string, number>();

  /** `random`: 0 ≤ x < 1. */
  constructor(members: readonly Member[], random: () => number) {
    this.#random = random;
    this.update(members);
  }

  /** Undefined before any member is known. */
  get current(): Member | undefined {
    return this.#order[this.#at];
  }

  get size(): number {
    return this.#order.length;
  }

  /** These are the members now. Those that were known stay where they are in the order, the current one included. */
  update(members: readonly Member[]): void {
    const now = new Map(members.map((member) => [member.address, member]));
    if (now.size === this.#order.length && this.#order.every(({ address }) => now.has(address))) return;
    const { current } = this;
    const stayed = this.#order.filter(({ address }) => now.has(address));
    const known = new Set(stayed.map(({ address }) => address));
    const added = shuffled(
      [...now.values()].filter(({ address }) => !known.has(address)),
      this.#random,
    );
    const all = [...stayed, ...added];
    this.#order = [...all.filter(({ preferred }) => preferred), ...all.filter(({ preferred }) => !preferred)];
    for (const address of this.#again.keys()) if (!now.has(address)) this.#again.delete(address);
    const at = this.#order.findIndex(({ address }) => address === current?.address);
    this.#at = at === -1 ? 0 : at;
  }

  /** Leaves the current one, which failed: by its silence or otherwise. */
  next(silent: boolean): void {
    if (this.current === undefined) return;
    if (silent) this.#again.set(this.current.address, this.#round + 1 + passedOver);
    for (let i = 0; i < this.#order.length; i += 1) {
      this.#step();
      if ((this.#again.get(this.current.address) ?? 0) <= this.#round) return;
    }
    // All are silent: in turn, as if none were.
    this.#again.clear();
    this.#step();
  }

  #step(): void {
    this.#at = (this.#at + 1) % this.#order.length;
    if (this.#at === 0) this.#round += 1;
  }
}

/** The member to ask next, of those that there are now. */
export function nextMember(rotation: Rotation, members: readonly Member[]): Member {
  rotation.update(members);
  if (rotation.current === undefined) throw new Error('no etcd member is known');
  return rotation.current;
}

/** A random order, so that many clients spread over the members. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [order[i], order[j]];
    if (a !== undefined && b !== undefined) [order[i], order[j]] = [b, a];
  }
  return order;
}
