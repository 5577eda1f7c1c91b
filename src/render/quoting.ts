export type Refused = { readonly refused: string; readonly hint?: string };

/**
 * The quotes and comments of a language. The text of a template is followed through them, so that a value that was
 * quoted for one place does not stand in another, where its quotes would mean something else. A place is what the
 * language sees there: between words, within quotes, in a comment.
 */
export type Quoting<Place extends string> = {
  readonly start: Place;
  /** The place after this text; refuses text that it does not understand. */
  readonly after: (at: Place, text: string) => Place | Refused;
  /** The place after a value that stands here, or a clause that says why none may. */
  readonly afterValue: (at: Place) => Place | Refused;
  /** The place after a section that may be left out or repeated. */
  readonly either: (before: Place, after: Place) => Place | Refused;
  /** What is wrong with a text that ends here. */
  readonly unfinished: (at: Place) => string | undefined;
};

/** Follows one text; told in its order. Throws what `fail` throws for what the language refuses. */
export type Trail = {
  text(text: string, fail: Fail): void;
  value(name: string, fail: Fail): void;
  /** Follows the inside of a section, which may be left out or repeated, as often as it takes to know its end. */
  section(inside: () => void, fail: Fail): void;
  end(fail: Fail): void;
};

export type Fail = (what: string, hint?: string) => never;

export function follow<Place extends string>(quoting: Quoting<Place>): Trail {
  let at = quoting.start;
  const take = (next: Place | Refused, fail: Fail, prefix = '') => {
    at = typeof next === 'string' ? next : fail(prefix + next.refused, next.hint);
  };
  return {
    text: (text, fail) => take(quoting.after(at, text), fail),
    value: (name, fail) => take(quoting.afterValue(at), fail, `{{${name}}} `),
    section(inside, fail) {
      for (;;) {
        const before = at;
        inside();
        if (at === before) return;
        take(quoting.either(before, at), fail);
        if (at === before) return;
      }
    },
    end(fail) {
      const open = quoting.unfinished(at);
      if (open !== undefined) fail(open);
    },
  };
}

/** For a text without quotes or comments that matter. */
export const nothingToFollow: Trail = {
  text: () => undefined,
  value: () => undefined,
  section: (inside) => inside(),
  end: () => undefined,
};
