/** An entry of a service, as it counts for the share of the service. */
export type Ranked = {
  readonly key: string;
  /** Of the whole service, as its policy is: it comes before every instance. */
  readonly whole: boolean;
  /** When the key was created, in the registry's order of changes. */
  readonly since: number;
  readonly bytes: number;
};

/** The entries of a service in the order in which it takes them: what is about the whole service, then the oldest keys. */
export type Ranking = readonly Ranked[];

/** The most room that one service may take. */
export type Caps = { readonly bytes: number; readonly entries: number; readonly instances: number };

export const rank = (entries: Iterable<Ranked>): Ranking => [...entries].sort(order);

function order(a: Ranked, b: Ranked): number {
  if (a.whole !== b.whole) return a.whole ? -1 : 1;
  if (a.since !== b.since) return a.since - b.since;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** The ranking after these keys changed; undefined: the key is not there any more. */
export function rerank(ranking: Ranking, changed: ReadonlyMap<string, Ranked | undefined>): Ranking {
  if (changed.size === 0) return ranking;
  const fresh = rank([...changed.values()].filter((one) => one !== undefined));
  const merged: Ranked[] = [];
  let next = 0;
  for (const one of ranking) {
    if (changed.has(one.key)) continue;
    for (let first = fresh[next]; first !== undefined && order(first, one) < 0; first = fresh[next]) {
      merged.push(first);
      next += 1;
    }
    merged.push(one);
  }
  for (const one of fresh.slice(next)) merged.push(one);
  return merged;
}

/** How many of the ranking come before this one, or are this one. */
export function positionOf(ranking: Ranking, last: Ranked): number {
  let [low, high] = [0, ranking.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = ranking[middle];
    if (one !== undefined && order(one, last) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many entries from the beginning of the ranking stay within the caps, and which cap the next one exceeds. */
export function fitting(
  ranking: Ranking,
  caps: Caps,
): { readonly taken: number; readonly beyond: keyof Caps | undefined } {
  let [bytes, entries, instances] = [0, 0, 0];
  for (const one of ranking) {
    bytes += one.bytes;
    if (!one.whole) instances += 1;
    const beyond =
      instances > caps.instances
        ? 'instances'
        : entries + 1 > caps.entries
          ? 'entries'
          : bytes > caps.bytes
            ? 'bytes'
            : undefined;
    if (beyond !== undefined) return { taken: entries, beyond };
    entries += 1;
  }
  return { taken: entries, beyond: undefined };
}
