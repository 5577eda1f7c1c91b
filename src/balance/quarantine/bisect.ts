/** What a check says: everything is well, or why not and whom it names. */
export type ValidationAnswer<Candidate> =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: string;
      /** Suspects that the answer points at, each with what it says of it. */
      readonly named: ReadonlyMap<Candidate, string>;
    };

type Failure<Candidate> = Extract<ValidationAnswer<Candidate>, { ok: false }>;

export type BisectSearch<Candidate> = {
  /** Everything that may be the reason; the most likely first. */
  readonly candidates: readonly Candidate[];
  /** The answer with nobody held. */
  readonly first: Failure<Candidate>;
  /** Asks HAProxy about a configuration in which these are held in their last good form. */
  readonly ask: (held: ReadonlySet<Candidate>) => Promise<ValidationAnswer<Candidate>>;
  /** No more questions than this, `first` included. */
  readonly most: number;
  /** Whether there is still time to look. */
  readonly patient: () => boolean;
};

/**
 * Whom to hold, each with the reason, so that the check passes. Undefined when it fails although all are held: it is none
 * of them.
 */
export type BisectResult<Candidate> =
  | { readonly offenders: ReadonlyMap<Candidate, string>; readonly questions: number }
  | undefined;

/**
 * Finds those for whom HAProxy refuses a configuration. HAProxy mostly names them, several at once; where it does not, they
 * are found by halving: one among a thousand takes a dozen questions. When the questions are used up, all that could not be
 * cleared are held: the rest is served, and they are tried again later.
 */
export async function bisect<Candidate>(search: BisectSearch<Candidate>): Promise<BisectResult<Candidate>> {
  const { candidates, most, patient } = search;
  const offenders = new Map<Candidate, string>();
  const cleared = new Set<Candidate>();
  let asked = 1;
  let everPassed = false;
  const ask = async (held: ReadonlySet<Candidate>): Promise<ValidationAnswer<Candidate>> => {
    asked += 1;
    const answer = await search.ask(held);
    everPassed ||= answer.ok;
    return answer;
  };
  // One question is kept for holding all of them.
  const mayAsk = () => asked < most - 1 && patient();

  let failure = search.first;
  while (mayAsk()) {
    const named = [...failure.named].filter(([candidate]) => !offenders.has(candidate));
    if (named.length > 0) for (const [candidate, reason] of named) offenders.set(candidate, reason);
    else {
      const found = await halve(
        candidates.filter((candidate) => !offenders.has(candidate) && !cleared.has(candidate)),
        failure,
      );
      if (found === undefined) break;
      offenders.set(found.candidate, found.reason);
    }
    if (asked >= most - 1) break;
    const answer = await ask(new Set(offenders.keys()));
    if (answer.ok) return { offenders, questions: asked };
    failure = answer;
    if (asked >= most - 1) break;
    // Nothing helped so far: is it anybody at all?
    if (!everPassed && named.length === 0 && !(await ask(new Set(candidates))).ok) return undefined;
  }
  const others = candidates.filter((candidate) => !offenders.has(candidate) && !cleared.has(candidate));
  for (const candidate of others) offenders.set(candidate, `one of ${others.length} that changed: ${failure.reason}`);
  const answer = await ask(new Set(offenders.keys()));
  return answer.ok ? { offenders, questions: asked } : undefined;

  /** One of these, if there is time: everything but a half of them is held, and the half that fails is looked at closer. */
  async function halve(
    among: readonly Candidate[],
    known: Failure<Candidate>,
  ): Promise<{ readonly candidate: Candidate; readonly reason: string } | undefined> {
    let undecided = among;
    let last = known;
    while (undecided.length > 1) {
      if (!mayAsk()) return undefined;
      const half = undecided.slice(0, Math.ceil(undecided.length / 2));
      const rest = undecided.slice(half.length);
      const held = new Set([...offenders.keys(), ...candidates]);
      for (const candidate of [...cleared, ...half]) held.delete(candidate);
      const answer = await ask(held);
      if (answer.ok) {
        for (const candidate of half) cleared.add(candidate);
        undecided = rest;
      } else {
        undecided = half;
        last = answer;
      }
    }
    const [candidate] = undecided;
    return candidate === undefined ? undefined : { candidate, reason: last.reason };
  }
}
