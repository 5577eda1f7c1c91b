import type { Quoting, QuotingRefusal } from '../template/quoting.ts';

/** The token before, as YAML reads it. JSON and TOML read the same where a value may be. */
type At =
  /** The beginning of a line, spaces, and the `- ` of lists. */
  | 'start'
  | 'dash'
  /** A value may begin, after a space; or without one. */
  | 'between'
  | 'close'
  /** A text without quotes; a space in it, a `:`, an ` =`. */
  | 'plain'
  | 'gap'
  | 'colon'
  | 'equals'
  | 'double'
  | 'escape'
  | 'single'
  | 'comment'
  /** `!tag` or `&anchor`. */
  | 'tag'
  /** After the `|` or `>` of a block of text. */
  | 'header'
  /** A section decides which. */
  | 'unsure';

type JsonState = {
  readonly at: At;
  /** How many brackets are open. */
  readonly depth: number;
  /** How far the line is indented. */
  readonly indent: number;
  /** Where the last `-` of the line's beginning is. */
  readonly dash: number | undefined;
  /** How far the line is indented whose text goes on in lines that are indented further. */
  readonly open: number | undefined;
  /** The line has had a `key: `. */
  readonly keyed: boolean;
};

const quotes: QuotingRefusal = {
  refused: 'stands within quotes',
  hint: 'the escape json writes the quotes too: leave yours out',
};
const part: QuotingRefusal = {
  refused: 'is a part of a text without quotes, which would not end where the value does',
  hint: 'the escape json writes a whole value: put the whole text into the value, or choose the escape word',
};

const unclear = (char: string): QuotingRefusal => ({
  refused: `this ${char} may begin a text in quotes, or go on with the line before`,
  hint: 'write a comment line before it',
});

function next(state: JsonState, char: string): JsonState | QuotingRefusal {
  const to = (at: At, more: Partial<JsonState> = {}): JsonState => ({ ...state, at, ...more });
  switch (state.at) {
    case 'start':
      if (char === ' ' || char === '\t') return to('start', { indent: state.indent + 1 });
      if (char === '\n') return to('start', { indent: 0, dash: undefined });
      if (char === '#') return to('comment');
      if (goesOn(state)) return state.open === -1 && /["']/.test(char) ? unclear(char) : nextPlain(state, char);
      return char === '-' ? to('dash') : begin({ ...state, open: undefined }, char);
    case 'dash':
      return char === ' ' ? to('start', { indent: state.indent + 2, dash: state.indent }) : nextPlain(state, char);
    case 'between':
      return char === '#' ? to('comment') : begin(state, char);
    case 'close':
      return char === '#'
        ? { refused: 'this # may begin a comment or not', hint: 'write a space before it' }
        : begin(state, char);
    case 'plain':
      return nextPlain(state, char);
    case 'gap':
      return char === '#' ? to('comment') : char === '=' ? to('equals') : nextPlain(state, char);
    case 'colon':
      return char === ' ' || char === '\t'
        ? to('between', { keyed: true })
        : char === '\n'
          ? line(state)
          : nextPlain(state, char);
    case 'equals':
      return char === ' ' && state.depth === 0 && !state.keyed ? to('between') : nextPlain(state, char);
    case 'escape':
      return to('double');
    case 'double':
    case 'single':
      if (char === '\n') return { refused: 'a text in quotes has to end on its line' };
      if (char === (state.at === 'double' ? '"' : "'")) return to('close');
      return to(state.at === 'double' && char === '\\' ? 'escape' : state.at);
    case 'comment':
      return char === '\n' ? line(state) : state;
    case 'tag':
      return char === '\n' ? line(state) : char === ' ' ? to('between') : state;
    case 'header':
      return char === '\n' ? line(state, parentOf(state)) : state;
    case 'unsure':
      if (/["'#|>]/.test(char)) return { refused: `a section before it decides what this ${char} means` };
      return nextPlain(state, char);
  }
}

const goesOn = ({ depth, indent, open }: JsonState): boolean => open !== undefined && (depth > 0 || indent > open);

/** Lines that are indented further than this go on with the text of this line. */
const parentOf = ({ keyed, indent, dash }: JsonState): number => (keyed ? indent : (dash ?? -1));

/** The next line; `open` is set where it may go on with the text of this one. */
const line = (state: JsonState, open?: number): JsonState => ({
  ...state,
  at: 'start',
  indent: 0,
  dash: undefined,
  open,
  keyed: false,
});

function begin(state: JsonState, char: string): JsonState {
  const to = (at: At, more: Partial<JsonState> = {}): JsonState => ({ ...state, at, ...more });
  switch (char) {
    case ' ':
    case '\t':
      return to('between');
    case '\n':
      return line(state);
    case '"':
      return to('double');
    case "'":
      return to('single');
    case '[':
    case '{':
      return to('close', { depth: state.depth + 1 });
    case ']':
    case '}':
      return to('close', { depth: Math.max(0, state.depth - 1) });
    case ':':
      return to('close', { keyed: true });
    case ',':
      return to(state.depth > 0 ? 'close' : 'plain');
    case '!':
    case '&':
      return to('tag');
    case '|':
    case '>':
      return to(state.depth > 0 ? 'plain' : 'header');
    default:
      return to('plain');
  }
}

function nextPlain(state: JsonState, char: string): JsonState {
  const to = (at: At): JsonState => ({ ...state, at });
  if (state.depth > 0 && /[,\]}]/.test(char)) return begin({ ...state, open: undefined }, char);
  switch (char) {
    case '\n':
      return line(state, goesOn(state) ? state.open : parentOf(state));
    case ' ':
    case '\t':
      return to('gap');
    case ':':
      return to('colon');
    default:
      return to('plain');
  }
}

const least = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);

const quoting = new Set<At>(['double', 'escape', 'single', 'comment', 'header']);

function either(one: JsonState, other: JsonState): JsonState | QuotingRefusal {
  const alike = one.at === other.at;
  if (!alike && (quoting.has(one.at) || quoting.has(other.at))) {
    return { refused: 'this section ends within quotes, or begins there and ends outside' };
  }
  const free = [one.at, other.at].every((at) => at === 'start' || at === 'between' || at === 'close');
  return {
    at: alike ? one.at : free ? 'close' : 'unsure',
    depth: Math.min(one.depth, other.depth),
    indent: Math.min(one.indent, other.indent),
    dash: least(one.dash, other.dash),
    open: least(one.open, other.open),
    keyed: one.keyed || other.keyed,
  };
}

function valueAt(state: JsonState): { readonly after: JsonState; readonly as: 'value' } | QuotingRefusal {
  switch (state.at) {
    case 'double':
    case 'single':
    case 'escape':
      return quotes;
    case 'header':
      return { refused: 'stands where a block of text begins' };
    case 'colon':
      return { ...part, hint: 'write a space after the :' };
    case 'start':
      return goesOn(state) ? part : { after: { ...state, at: 'close', open: undefined }, as: 'value' };
    case 'between':
    case 'close':
      return { after: { ...state, at: 'close' }, as: 'value' };
    case 'comment':
      // The value has no line end, so it stays in the comment.
      return { after: state, as: 'value' };
    default:
      return part;
  }
}

const same = (one: JsonState, other: JsonState): boolean =>
  one.at === other.at &&
  one.depth === other.depth &&
  one.indent === other.indent &&
  one.dash === other.dash &&
  one.open === other.open &&
  one.keyed === other.keyed;

/**
 * Where a JSON value may stand in JSON, YAML and TOML: where a value begins. It brings its own quotes, so it must not stand
 * within others, single ones neither, nor within a text of YAML that has none.
 */
export const jsonQuoting: Quoting<JsonState, 'value'> = {
  start: { at: 'start', depth: 0, indent: 0, dash: undefined, open: undefined, keyed: false },
  same,
  after: (at, text) => {
    let state = at;
    for (let i = 0; i < text.length; i += 1) {
      const after = next(state, text[i] ?? '');
      if ('refused' in after) return { ...after, offset: i };
      state = after;
    }
    return state;
  },
  afterValue: valueAt,
  either,
  unfinished: ({ at }) =>
    at === 'double' || at === 'escape'
      ? 'a string is not closed with "'
      : at === 'single'
        ? "a text is not closed with '"
        : undefined,
};
