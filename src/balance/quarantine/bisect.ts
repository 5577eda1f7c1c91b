/** What a check says: everything is well, or why not and whom it names. */
export type ValidationAnswer<Suspect> =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: string;
      /** Suspects that the answer points at, each with what it says of it. */
      readonly named: ReadonlyMap<Suspect, string>;
    };

type Failure<Suspect> = Extract<ValidationAnswer<Suspect>, { ok: false }>;

export type BisectSearch<Suspect> = {
  /** Everything that may be the reason; the most likely first. */
  readonly suspects: readonly Suspect[];
  /** The answer with nobody held. */
  readonly first: Failure<Suspect>;
  /** Asks HAProxy about a configuration in which these are held in their last good form. */
  readonly ask: (held: ReadonlySet<Suspect>) => Promise<ValidationAnswer<Suspect>>;
  /** No more questions than this, `first` included. */
  readonly most: number;
  /** Whether there is still time to look. */
  readonly patient: () => boolean;
};

/**
 * Whom to hold, each with the reason, so that the check passes. Undefined when it fails although all are held: it is none
 * of them.
 */
export type BisectResult<Suspect> =
  | { readonly culprits: ReadonlyMap<Suspect, string>; readonly questions: number }
  | undefined;

/**
 * Finds those for whom HAProxy refuses a configuration. HAProxy mostly names them, several at once; where it does not, they
 * are found by halving: one among a thousand takes a dozen questions. When the questions are used up, all that could not be
 * cleared are held: the rest is served, and they are tried again later.
 */
export async function findCulprits<Suspect>(search: BisectSearch<Suspect>): Promise<BisectResult<Suspect>> {
  const { suspects, most, patient } = search;
  const culprits = new Map<Suspect, string>();
  const cleared = new Set<Suspect>();
  let asked = 1;
  let everPassed = false;
  const ask = async (held: ReadonlySet<Suspect>): Promise<ValidationAnswer<Suspect>> => {
    asked += 1;
    const answer = await search.ask(held);
    everPassed ||= answer.ok;
    return answer;
  };
  // One question is kept for holding all of them.
  const mayAsk = () => asked < most - 1 && patient();

  let failure = search.first;
  while (mayAsk()) {
    const named = [...failure.named].filter(([suspect]) => !culprits.has(suspect));
    if (named.length > 0) for (const [suspect, reason] of named) culprits.set(suspect, reason);
    else {
      const found = await halve(
        suspects.filter((suspect) => !culprits.has(suspect) && !cleared.has(suspect)),
        failure,
      );
      if (found === undefined) break;
      culprits.set(found.suspect, found.reason);
    }
    if (asked >= most - 1) break;
    const answer = await ask(new Set(culprits.keys()));
    if (answer.ok) return { culprits, questions: asked };
    failure = answer;
    if (asked >= most - 1) break;
    // Nothing helped so far: is it anybody at all?
    if (!everPassed && named.length === 0 && !(await ask(new Set(suspects))).ok) return undefined;
  }
  const others = suspects.filter((suspect) => !culprits.has(suspect) && !cleared.has(suspect));
  for (const suspect of others) culprits.set(suspect, `one of ${others.length} that changed: ${failure.reason}`);
  const answer = await ask(new Set(culprits.keys()));
  return answer.ok ? { culprits, questions: asked } : undefined;

  /** One of these, if there is time: everything but a half of them is held, and the half that fails is looked at closer. */
  async function halve(
    among: readonly Suspect[],
    known: Failure<Suspect>,
  ): Promise<{ readonly suspect: Suspect; readonly reason: string } | undefined> {
    let undecided = among;
    let last = known;
    while (undecided.length > 1) {
      if (!mayAsk()) return undefined;
      const half = undecided.slice(0, Math.ceil(undecided.length / 2));
      const rest = undecided.slice(half.length);
      const held = new Set([...culprits.keys(), ...suspects]);
      for (const suspect of [...cleared, ...half]) held.delete(suspect);
      const answer = await ask(held);
      if (answer.ok) {
        for (const suspect of half) cleared.add(suspect);
        undecided = rest;
      } else {
        undecided = half;
        last = answer;
      }
    }
    const [suspect] = undecided;
    return suspect === undefined ? undefined : { suspect, reason: last.reason };
  }
}
