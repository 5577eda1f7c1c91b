/** `offset`: which character of the text it is. */
export type QuotingRefusal = { readonly refused: string; readonly hint?: string; readonly offset?: number };

/**
 * The quotes and comments of a language. The text of a template is followed through them, so that a value that was
 * quoted for one place does not stand in another, where its quotes would mean something else. A place is what the
 * language sees there: between words, within quotes, in a comment. A form is how a value is written there.
 */
export type Quoting<Place extends object | string, Form extends string> = {
  readonly start: Place;
  readonly same: (one: Place, other: Place) => boolean;
  /** The place after this text; refuses text that it does not understand. */
  readonly after: (at: Place, text: string) => Place | QuotingRefusal;
  /** The place after a value here, and the form of the value; or a clause that says why no value may be here. */
  readonly afterValue: (at: Place) => { readonly after: Place; readonly as: Form } | QuotingRefusal;
  /** The place after a section that may be left out or repeated. */
  readonly either: (before: Place, after: Place) => Place | QuotingRefusal;
  /** Why a text must not end here; undefined: it may. */
  readonly unfinished: (at: Place) => string | undefined;
};

/** Follows one text from its beginning. Throws the error of `fail` for text that the language refuses. */
export type Trail = {
  text(text: string, fail: Fail): void;
  /** How the value is written there; undefined where there is one form only. */
  value(name: string, fail: Fail): string | undefined;
  /** Follows the inside of a section, which may be left out or repeated, as often as it takes to know its end. */
  section(inside: () => void, fail: Fail): void;
  end(fail: Fail): void;
};

export type Fail = (what: string, hint?: string, offset?: number) => never;

const isRefused = (found: object | string): found is QuotingRefusal => typeof found === 'object' && 'refused' in found;

export function followQuotes<Place extends object | string, Form extends string>(quoting: Quoting<Place, Form>): Trail {
  let at = quoting.start;
  const take = (next: Place | QuotingRefusal, fail: Fail) => {
    at = isRefused(next) ? fail(next.refused, next.hint, next.offset) : next;
  };
  return {
    text: (text, fail) => take(quoting.after(at, text), fail),
    value(name, fail) {
      const next = quoting.afterValue(at);
      if ('refused' in next) return fail(`{{${name}}} ${next.refused}`, next.hint);
      at = next.after;
      return next.as;
    },
    section(inside, fail) {
      for (;;) {
        const before = at;
        inside();
        if (quoting.same(at, before)) return;
        take(quoting.either(before, at), fail);
        if (quoting.same(at, before)) return;
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
