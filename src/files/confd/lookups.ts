import type { ServiceRecord } from './functions.ts';

/** A lookup whose answer a template needs. */
type Lookup = { readonly kind: 'addresses' | 'services'; readonly name: string };

/** Answers a lookup; an empty list where there is none. */
export type Resolver = {
  readonly addressesOf: (name: string) => Promise<readonly string[]>;
  readonly servicesOf: (name: string) => Promise<readonly ServiceRecord[]>;
};

/** Stops an execution that asks for what is not known yet. */
class LookupNeeded {
  readonly lookup: Lookup;
  constructor(lookup: Lookup) {
    this.lookup = lookup;
  }
}

/** The answers that one rendering has. Functions of templates are synchronous, so an unknown answer ends the execution. */
export class Lookups {
  readonly #addresses = new Map<string, readonly string[]>();
  readonly #services = new Map<string, readonly ServiceRecord[]>();

  readonly addressesOf = (name: string): readonly string[] => known(this.#addresses, { kind: 'addresses', name });
  readonly servicesOf = (name: string): readonly ServiceRecord[] => known(this.#services, { kind: 'services', name });

  /** Runs `work` again and again until it needs no further answer; undefined when it needs more than `most`. */
  async complete<T>(work: () => T, resolver: Resolver, most: number): Promise<{ readonly value: T } | undefined> {
    for (let asked = 0; asked <= most; asked++) {
      try {
        return { value: work() };
      } catch (error) {
        if (!(error instanceof LookupNeeded)) throw error;
        const { kind, name } = error.lookup;
        if (kind === 'addresses') this.#addresses.set(name, await resolver.addressesOf(name));
        else this.#services.set(name, await resolver.servicesOf(name));
      }
    }
    return undefined;
  }
}

function known<T>(answers: ReadonlyMap<string, T>, lookup: Lookup): T {
  const answer = answers.get(lookup.name);
  if (answer === undefined) throw new LookupNeeded(lookup);
  return answer;
}
