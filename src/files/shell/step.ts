import type { QuotingRefusal } from '../../template/quoting.ts';
import { type Frame, type List, newList, type ShellState, type ShellWord } from './state.ts';
import { closeCommand, endWord } from './words.ts';

const backquote: QuotingRefusal = { refused: 'backquotes are not understood here', hint: 'write $(…)' };
const nested: QuotingRefusal = {
  refused: `quotes, $ and braces within "\${…}" are not understood here`,
  hint: 'put what it gives into a variable first',
};
const oneLine: QuotingRefusal = {
  refused: 'this line end after \\ is not understood here',
  hint: 'write it on one line',
};

/** The state after one more character of the script. */
export function step(state: ShellState, char: string): ShellState | QuotingRefusal {
  const frame = state.at(-1);
  const outer = state.slice(0, -1);
  switch (frame?.kind) {
    case undefined:
      return { refused: 'nothing is open here' };
    case 'list':
      return stepList(state, frame, char);
    case 'single':
      return char === "'" ? withText(outer, char) : [...withText(outer, char), frame];
    case 'comment':
      return char === '\n' ? step(outer, char) : state;
    case 'escape':
      return char === '\n' ? afterLineEnd(outer) : withText(outer, '?');
    case 'double':
      return stepDouble(state, outer, char);
    case 'dollar':
      return stepDollar(outer, char);
    case 'parameter':
      if (char === '}') return outer;
      if (frame.quoted) return /['"`\\$({]/.test(char) ? nested : state;
      return stepQuotes(state, char) ?? state;
    case 'arithmetic':
      return stepArithmetic(outer, frame, char);
    case 'condition':
      return stepCondition(state, outer, frame, char);
  }
}

/** Whatever begins with a character that quotes; undefined for another one. */
function stepQuotes(state: ShellState, char: string): ShellState | QuotingRefusal | undefined {
  switch (char) {
    case '`':
      return backquote;
    case "'":
      return [...state, { kind: 'single' }];
    case '"':
      return [...state, { kind: 'double' }];
    case '\\':
      return [...state, { kind: 'escape' }];
    case '$':
      return [...state, { kind: 'dollar' }];
    default:
      return undefined;
  }
}

function stepDouble(state: ShellState, outer: ShellState, char: string): ShellState | QuotingRefusal {
  if (char === '"') return withText(outer, char);
  if (char === "'") return withText(state, char);
  return stepQuotes(withText(state, char === '\\' || char === '$' ? '?' : ''), char) ?? withText(state, char);
}

function stepDollar(outer: ShellState, char: string): ShellState | QuotingRefusal {
  const quoted = outer.at(-1)?.kind === 'double';
  switch (char) {
    case '(':
      return [...outer, newList(')', 'substitution')].map(opening);
    case '{':
      return [...outer, { kind: 'parameter', quoted }];
    case '[':
      return { refused: '$[…] is not understood here', hint: 'write $((…))' };
    case '\\':
      return { refused: 'a \\ after $ is not understood here' };
    case "'":
      return quoted ? step(outer, char) : { refused: "$'…' is not understood here", hint: "write '…'" };
    case '$':
    case '#':
    case '?':
    case '!':
      return outer;
    default:
      return step(outer, char);
  }
}

/** The innermost list was begun by the `(` just read. */
const opening = (frame: Frame, at: number, all: readonly Frame[]): Frame =>
  at === all.length - 1 && frame.kind === 'list' ? { ...frame, operator: '(' } : frame;

function stepArithmetic(
  outer: ShellState,
  frame: Frame & { readonly kind: 'arithmetic' },
  char: string,
): ShellState | QuotingRefusal {
  const to = (more: Partial<typeof frame>): ShellState => [...outer, { ...frame, closing: false, ...more }];
  if (frame.closing) {
    return char === ')' ? outer : { refused: 'two ) should end this arithmetic', hint: 'write a space after $( or (' };
  }
  switch (char) {
    case '`':
      return backquote;
    case "'":
    case '\\':
      return { refused: `${char} is not understood in arithmetic` };
    case '$':
      return [...to({}), { kind: 'dollar' }];
    case '(':
      return to({ depth: frame.depth + 1 });
    case ')':
      return frame.depth > 0 ? to({ depth: frame.depth - 1 }) : to({ closing: true });
    default:
      return to({});
  }
}

function stepCondition(
  state: ShellState,
  outer: ShellState,
  { word }: Frame & { readonly kind: 'condition' },
  char: string,
): ShellState | QuotingRefusal {
  const to = (text: string): ShellState => [...outer, { kind: 'condition', word: text.slice(0, 3) }];
  if (/[\s;&|)]/.test(char) && word === ']]') return step(outer, char);
  if (char === '#') return { refused: 'this # may begin a comment or not', hint: 'quote it' };
  return stepQuotes(/[`'"\\$]/.test(char) ? to('???') : state, char) ?? to(/\s/.test(char) ? '' : word + char);
}

/** `\` and a line end are nothing: what was before goes on. */
function afterLineEnd(state: ShellState): ShellState | QuotingRefusal {
  const list = state.at(-1);
  if (list?.kind !== 'list') return state;
  if (list.operator !== '') return oneLine;
  return list.word === undefined ? [...state.slice(0, -1), { ...list, sure: false }] : state;
}

/** No name of a command or a variable is longer. */
const longest = 4096;

/** Adds to the word of the innermost list, also from within double quotes in it. */
export function withText(state: ShellState, text: string, value = false): ShellState {
  const list = state.at(-1);
  if (list?.kind === 'double') return [...withText(state.slice(0, -1), text), list];
  if (list?.kind !== 'list') return state;
  const before = list.word?.text ?? '';
  const word: ShellWord = {
    text: before.length < longest ? before + text : before,
    value: list.word?.value === true || value,
  };
  return [...state.slice(0, -1), { ...list, word, sure: list.sure || text !== '', operator: '' }];
}

function stepList(state: ShellState, list: List, char: string): ShellState | QuotingRefusal {
  if (list.operator === '()') {
    if (char === ' ' || char === '\t') return state;
    if (char !== ')') return { refused: 'this ( is not understood here', hint: 'quote it, if it is a text' };
    return [...state.slice(0, -1), newList(list.until, list.opened)];
  }
  switch (char) {
    case ' ':
    case '\t':
    case '\n':
    case ';':
    case '&':
    case '|':
    case ')':
      return onEnded(endWord(state, list), (ended) => stepBetween(ended, list.operator, char));
    case '<':
    case '>':
      return stepRedirection(state, list, char);
    case '(':
      return stepParenthesis(state, list);
    case '#':
      if (!list.sure) return { refused: 'this # may begin a comment or not', hint: 'write a space before it' };
      return list.word === undefined ? [...state, { kind: 'comment' }] : withText(state, char);
    case '$':
      return onEnded(withText(state, '?'), (word) => stepQuotes(word, char) ?? word);
    case "'":
      return [...withText(state, char), { kind: 'single' }];
    case '"':
      return [...withText(state, char), { kind: 'double' }];
    case '\\':
      return [...state, { kind: 'escape' }];
    case '`':
      return backquote;
    default:
      return withText(state, char);
  }
}

const onEnded = (
  state: ShellState | QuotingRefusal,
  then: (state: ShellState) => ShellState | QuotingRefusal,
): ShellState | QuotingRefusal => ('refused' in state ? state : then(state));

/** Characters that end a word, and maybe a command. */
function stepBetween(state: ShellState, operator: List['operator'], char: string): ShellState | QuotingRefusal {
  const list = state.at(-1);
  // A word such as [[ may have begun something else.
  if (list?.kind !== 'list') return step(state, char);
  const outer = state.slice(0, -1);
  const to = (more: Partial<List>): ShellState => [...outer, { ...list, sure: true, operator: '', ...more }];
  const command = (next: List['operator']) =>
    onEnded(closeCommand(to({})), (ended) => [...ended.slice(0, -1), { ...lastList(ended), operator: next }]);
  const stays = list.mode === 'case' || list.mode === 'of' || list.mode === 'pattern' || list.mode === 'array';
  switch (char) {
    case ' ':
    case '\t':
      return to({});
    case '\n':
      return stays ? to({}) : command('');
    case '|':
      if (operator === '>') return to({ target: true });
      return list.mode === 'pattern' ? to({}) : stays ? unexpected(char) : command('|');
    case '&':
      if (operator === '<' || operator === '>') return to({ target: true });
      if (operator === ';' && list.until === 'esac') return to({ mode: 'pattern' });
      return stays ? unexpected(char) : command('&');
    case ';':
      if (operator === ';') return list.until === 'esac' ? to({ mode: 'pattern', operator: ';' }) : unexpected(';;');
      if (list.mode === 'pattern' && operator !== '') return to({});
      return stays ? unexpected(char) : command(';');
    default:
      return closeParenthesis(outer, list, to);
  }
}

function closeParenthesis(
  outer: ShellState,
  list: List,
  to: (more: Partial<List>) => ShellState,
): ShellState | QuotingRefusal {
  if (list.mode === 'pattern') return to({ mode: 'start' });
  if (list.until !== ')') return { refused: 'this ) closes nothing' };
  return onEnded(closeCommand(to(list.mode === 'array' ? {} : {})), () =>
    list.opened === 'command' ? outer : outer.at(-1)?.kind === 'list' ? withText(outer, '?') : outer,
  );
}

const unexpected = (char: string): QuotingRefusal => ({ refused: `${char} is not understood here` });

function lastList(state: ShellState): List {
  const list = state.at(-1);
  if (list?.kind !== 'list') throw new Error('a command ended outside of a list');
  return list;
}

function stepRedirection(state: ShellState, list: List, char: '<' | '>'): ShellState | QuotingRefusal {
  if (char === '<' && list.operator === '<' && list.word === undefined) {
    return { refused: 'here-documents (<<) are not understood here', hint: 'write with printf' };
  }
  if (list.mode === 'array') return unexpected(char);
  if (list.operator === '&') {
    return { refused: '&> means one thing to bash and another to sh', hint: 'write >FILE 2>&1, or a space after &' };
  }
  // The number of a descriptor is no word.
  const before: ShellState = /^[0-9]+$/.test(list.word?.text ?? '')
    ? [...state.slice(0, -1), { ...list, word: undefined }]
    : state;
  return onEnded(endWord(before, { ...list, ...lastList(before) }), (ended) => {
    const last = ended.at(-1);
    if (last?.kind !== 'list') return unexpected(char);
    return [...ended.slice(0, -1), { ...last, target: true, sure: true, operator: char }];
  });
}

function stepParenthesis(state: ShellState, list: List): ShellState | QuotingRefusal {
  const outer = state.slice(0, -1);
  if (list.operator === '(' && list.word === undefined && list.opened !== 'other') {
    const command = list.opened === 'command';
    return [...outer, { kind: 'arithmetic', command, depth: 0, closing: false }];
  }
  if ((list.operator === '<' || list.operator === '>') && list.word === undefined) {
    const word: ShellWord = { text: '?', value: false };
    return [...outer, { ...list, word, operator: '' }, newList(')', 'other')];
  }
  if (list.mode === 'pattern' && list.word === undefined) return state;
  if (list.word === undefined && ['start', 'for', 'unsure'].includes(list.mode)) {
    if (list.mode === 'unsure')
      return { refused: 'a section decides what this ( means', hint: 'begin a line before it' };
    return [...outer, { ...list, mode: 'closed', operator: '' }, ...[newList(')', 'command')].map(opening)];
  }
  if (list.mode === 'start' && /^[A-Za-z_][A-Za-z0-9_]*\+?=$/.test(list.word?.text ?? '')) {
    return [...outer, { ...list, operator: '' }, newList(')', 'other', 'array')];
  }
  const name =
    list.mode === 'start' || list.mode === 'function' || (list.mode === 'arguments' && list.word === undefined);
  if (!name || list.word?.value === true)
    return { refused: 'this ( is not understood here', hint: 'quote it, if it is a text' };
  return [...outer, { ...list, operator: '()' }];
}
