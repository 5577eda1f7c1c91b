import type { Problem, TextPosition } from '../model/problem.ts';

/** A place in a file that a person wrote, counted from 1. */
export type Place = TextPosition & { readonly file: string };

/** An entry that the registry is to hold, as a file declares it. */
export type Declared = {
  /** Relative to the root: `services/web`. */
  readonly key: string;
  /** The text that the registry is to hold. A byte that is not UTF-8 is kept as `model/raw-text.ts` keeps it. */
  readonly value: string;
  /** Where the entry is declared. */
  readonly place: Place;
  /** The place of a field inside the value; if it is missing, the place of the object that should have it. */
  readonly placeOf: (path: readonly string[]) => Place;
  /** Where a value that is given as text ceases to be JSON, or gives a name twice. */
  readonly flawAt: () => Place;
};

/** What files declare, and everything that is wrong with how they declare it. */
export type Declarations = {
  readonly declared: readonly Declared[];
  readonly problems: readonly Problem[];
};

/** What files declare, as they were read. */
export type ReadDeclarations = Declarations & {
  /** Whether a file declares something, if only an area without entries, such as `services: {}`. */
  readonly namesArea: boolean;
};
