import type { Quoting, Refused } from '../render/quoting.ts';

/** Places where a value may stand, because its single quotes are quotes there. */
type Plain =
  /** A new word may begin, so `#` begins a comment. */
  | 'gap'
  | 'word'
  /** One or the other, after a section that may be left out or a line that goes on. */
  | 'unsure'
  /** After `<`. */
  | 'less';

/** Places where it may not, and why. */
const reasons = {
  single: 'stands within quotes',
  double: 'stands within quotes',
  doubleEscape: 'stands within quotes',
  doubleDollar: 'stands within quotes',
  doubleBrace: 'stands within quotes',
  doubleParen: 'stands within quotes',
  comment: 'stands in a comment, which a line end in the value would leave',
  escape: 'stands after a \\, which would take away its first quote',
  dollar: 'stands after a $, which would give its quotes another meaning',
} as const;

type State = Plain | keyof typeof reasons;

/** Characters that end a word. */
const ending = /[\s;&|()<>]/;
const backquote: Refused = { refused: 'backquotes are not understood here', hint: 'write $(…)' };
const nested: Refused = {
  refused: 'quotes within "$(…)" and the like are not understood here',
  hint: 'put what they give into a variable first',
};

function next(at: State, char: string): State | Refused {
  switch (at) {
    case 'single':
      return char === "'" ? 'word' : at;
    case 'comment':
      return char === '\n' ? 'gap' : at;
    case 'escape':
      return char === '\n' ? 'unsure' : 'word';
    case 'doubleEscape':
      return 'double';
    case 'doubleDollar':
      if (char === '{') return 'doubleBrace';
      if (char === '(') return 'doubleParen';
      return next('double', char);
    case 'double':
      if (char === '`') return backquote;
      return char === '"' ? 'word' : char === '\\' ? 'doubleEscape' : char === '$' ? 'doubleDollar' : at;
    case 'doubleBrace':
    case 'doubleParen':
      if (/['"`\\$({]/.test(char)) return nested;
      return char === (at === 'doubleBrace' ? '}' : ')') ? 'double' : at;
    case 'gap':
    case 'word':
    case 'unsure':
    case 'less':
    case 'dollar':
      return nextOutside(at, char);
  }
}

function nextOutside(at: Plain | 'dollar', char: string): State | Refused {
  switch (char) {
    case '`':
      return backquote;
    case "'":
      return at === 'dollar' ? { refused: "$'…' is not understood here", hint: "write '…'" } : 'single';
    case '"':
      return 'double';
    case '\\':
      return 'escape';
    case '$':
      return 'dollar';
    case '#':
      if (at === 'unsure') return { refused: 'this # may begin a comment or not', hint: 'write a space before it' };
      return at === 'gap' || at === 'less' ? 'comment' : 'word';
    case '<':
      return at === 'less'
        ? { refused: 'here-documents (<<) are not understood here', hint: 'write with printf' }
        : 'less';
    default:
      return ending.test(char) ? 'gap' : 'word';
  }
}

/**
 * The quotes and comments of `sh`: a value brings its own single quotes, which mean nothing within double quotes, end
 * within single ones, and do not keep a line end in a comment.
 */
export const shellQuoting: Quoting<State> = {
  start: 'gap',
  after: (at, text) => {
    let state = at;
    for (const char of text) {
      const after = next(state, char);
      if (typeof after !== 'string') return after;
      state = after;
    }
    return state;
  },
  afterValue: (at) => {
    if (!isReason(at)) return 'word';
    const refused = reasons[at];
    return refused === reasons.single
      ? { refused, hint: 'the escape shell writes the quotes too: leave yours out' }
      : { refused };
  },
  either: (before, after) =>
    joinable.includes(before) && joinable.includes(after)
      ? 'unsure'
      : { refused: 'this section ends within quotes or a comment, or begins there and ends outside' },
  unfinished: (at) => (at === 'single' || at.startsWith('double') ? 'a quote is not closed' : undefined),
};

const joinable: readonly State[] = ['gap', 'word', 'unsure'];

const isReason = (at: State): at is keyof typeof reasons => at in reasons;
