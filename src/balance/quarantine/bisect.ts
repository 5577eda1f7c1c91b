export type ValidationAnswer<Candidate> =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly named: ReadonlyMap<Candidate, string>;
    };

type Failure<Candidate> = Extract<ValidationAnswer<Candidate>, { ok: false }>;

export type BisectSearch<Candidate> = {
  /** The most likely first. */
  readonly candidates: readonly Candidate[];
  /** The answer with no candidate in quarantine. */
  readonly first: Failure<Candidate>;
  /** Asks HAProxy about a configuration with these candidates in quarantine. */
  readonly ask: (quarantined: ReadonlySet<Candidate>) => Promise<ValidationAnswer<Candidate>>;
  /** No more questions than this, `first` included. */
  readonly most: number;
  readonly patient: () => boolean;
};

/**
 * The offenders, each with the reason: with them in quarantine HAProxy accepts the configuration. Undefined: it refuses the
 * configuration even with all candidates in quarantine.
 */
export type BisectResult<Candidate> =
  | { readonly offenders: ReadonlyMap<Candidate, string>; readonly questions: number }
  | undefined;

/**
 * Finds the offenders of a configuration that HAProxy refuses. HAProxy mostly names them, several at a time. If it names none, this
 * halves the candidates: one offender among a thousand takes a dozen questions. When no question is left, all candidates that are not
 * cleared count as offenders: the rest is served, and they are tried again later.
 */
export async function bisect<Candidate>(search: BisectSearch<Candidate>): Promise<BisectResult<Candidate>> {
  const { candidates, most, patient } = search;
  const offenders = new Map<Candidate, string>();
  const cleared = new Set<Candidate>();
  let asked = 1;
  let everPassed = false;
  const ask = async (quarantined: ReadonlySet<Candidate>): Promise<ValidationAnswer<Candidate>> => {
    asked += 1;
    const answer = await search.ask(quarantined);
    everPassed ||= answer.ok;
    return answer;
  };
  // The last question is for all candidates in quarantine.
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
    // Nothing helped so far: perhaps no candidate is the reason.
    if (!everPassed && named.length === 0 && !(await ask(new Set(candidates))).ok) return undefined;
  }
  const others = candidates.filter((candidate) => !offenders.has(candidate) && !cleared.has(candidate));
  for (const candidate of others) offenders.set(candidate, `one of ${others.length} that changed: ${failure.reason}`);
  const answer = await ask(new Set(offenders.keys()));
  return answer.ok ? { offenders, questions: asked } : undefined;

  /** Finds one offender, if there is time: puts all but one half into quarantine, and halves the half that fails again. */
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
      const quarantined = new Set([...offenders.keys(), ...candidates]);
      for (const candidate of [...cleared, ...half]) quarantined.delete(candidate);
      const answer = await ask(quarantined);
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
