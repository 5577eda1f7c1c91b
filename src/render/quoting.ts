/** Where in a text a place is, as its language sees it: between words, within quotes, in a comment. */
export type Place = string;

export type Refused = { readonly refused: string; readonly hint?: string };

/**
 * The quotes and comments of a language. The text of a template is followed through them, so that a value that was
 * quoted for one place does not stand in another, where its quotes would mean something else.
 */
export type Quoting = {
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
