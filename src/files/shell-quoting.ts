import type { Quoting, QuotingRefusal } from '../template/quoting.ts';
import { beginsSpecial, refusedArgument } from './shell/commands.ts';
import { join, type List, newList, type ShellState, same } from './shell/state.ts';
import { step, withText } from './shell/step.ts';
import { assignment, closeCommand, endWord, refusedVariable } from './shell/words.ts';

/** How a value is written at a place of a script. */
export type ShellForm =
  /** In quotes. */
  | 'word'
  /** Right after `NAME=`: quotes may be left out. */
  | 'assigned'
  /** The name of a variable, or the rest of one: as it is, if it is one. */
  | 'name'
  | 'name-rest'
  /** Of arithmetic: a whole number. */
  | 'number';

const quoted: QuotingRefusal = {
  refused: 'stands within quotes',
  hint: 'the escape shell writes the quotes too: leave yours out',
};

const command: QuotingRefusal = {
  refused: 'would be the name of a command, so whoever writes the value decides what is run',
  hint: 'write the name of the command',
};

function valueAt(state: ShellState): { readonly after: ShellState; readonly as: ShellForm } | QuotingRefusal {
  const frame = state.at(-1);
  switch (frame?.kind) {
    case undefined:
    case 'single':
    case 'double':
      return quoted;
    case 'comment':
      return { refused: 'stands in a comment, which a line end in the value would leave' };
    case 'escape':
      return { refused: 'stands after a \\, which would take away its first quote' };
    case 'dollar':
      return { refused: 'stands after a $, which would give its quotes another meaning' };
    case 'parameter':
      return {
        refused: `stands within \${…}, where a shell may evaluate it`,
        hint: 'give it to a variable of its own: NAME={{…}}',
      };
    case 'condition':
      return { refused: 'stands within [[ … ]], where bash may evaluate it', hint: 'write [ … ] or case' };
    case 'arithmetic':
      return frame.command
        ? { refused: 'stands within ((…)), where bash evaluates it', hint: 'write [ … -gt … ], or NAME=$((…))' }
        : { after: state, as: 'number' };
    case 'list':
      return valueIn(state, frame);
  }
}

function valueIn(
  state: ShellState,
  list: List,
): { readonly after: ShellState; readonly as: ShellForm } | QuotingRefusal {
  const text = list.word?.text ?? '';
  const word = { after: withText(state, '?', true), as: 'word' } as const;
  if (list.operator === '()') return { refused: 'stands where ) should' };
  if (list.target) return word;
  const first = list.mode === 'start' || list.mode === 'led';
  if (first || (list.mode === 'arguments' && list.rule.kind === 'names')) {
    if (assignment.test(text)) {
      const direct = text.endsWith('=') && list.word?.value === false;
      return refusedVariable(text) ?? (direct || text.endsWith('@=') ? { ...word, as: 'assigned' } : word);
    }
    const name = list.mode === 'led' ? undefined : nameAt(state, text);
    if (name !== undefined) return name;
    return first ? command : { refused: 'is not a name here', hint: 'write export NAME={{…}} or export {{…}}' };
  }
  switch (list.mode) {
    case 'arguments':
      return refusedArgument(list.rule) ?? (text.includes('{') ? brace : word);
    case 'case':
    case 'pattern':
      return word;
    case 'array':
      return /[[{]/.test(text) ? { refused: 'stands in a subscript, which bash evaluates' } : word;
    case 'unsure':
      return { refused: 'may be the name of a command: a section before it decides', hint: 'begin a line before it' };
    default:
      return { refused: 'stands where the shell wants a word of its own' };
  }
}

const brace: QuotingRefusal = {
  refused: 'stands within braces, which bash makes several words of',
  hint: 'write the words out',
};

/** A value that is the name of a variable, or the rest of one. */
function nameAt(
  state: ShellState,
  text: string,
): { readonly after: ShellState; readonly as: ShellForm } | QuotingRefusal | undefined {
  if (text === '') return { after: withText(state, '@', true), as: 'name' };
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return undefined;
  if (!beginsSpecial(text)) return { after: withText(state, '@', true), as: 'name-rest' };
  return {
    refused: `may make a name of ${text} on which the shell acts`,
    hint: 'begin the name with a word and _, as in APP_{{…}}',
  };
}

/**
 * Where a value may stand in a script for `sh`, dash or bash: where it is a text and nothing else, whatever it holds. It
 * brings its own quotes, which mean nothing within double quotes and end within single ones; and there are places where
 * a shell evaluates what was quoted: arithmetic, subscripts, conditions of bash, arguments of `eval` and the like.
 */
export const shellQuoting: Quoting<ShellState, ShellForm> = {
  start: [newList('end', 'other')],
  same,
  after: (at, text) => {
    let state = at;
    for (let i = 0; i < text.length; i += 1) {
      const next = step(state, text[i] ?? '');
      if ('refused' in next) return { ...next, offset: i };
      const named = wrongName(next);
      if (named !== undefined) return { ...named, offset: i };
      state = next;
    }
    return state;
  },
  afterValue: (at) => valueAt(at),
  either: (before, after) =>
    join(before, after) ?? {
      refused: 'this section ends within quotes or a comment, or begins there and ends outside',
    },
  unfinished: (end) => {
    const at = end.at(-1)?.kind === 'comment' ? end.slice(0, -1) : end;
    const list = at.at(-1);
    if (at.length === 1 && list?.kind === 'list') {
      const ended = endWord(at, list);
      const wrong = 'refused' in ended ? ended : closeCommand(ended);
      return 'refused' in wrong ? wrong.refused : undefined;
    }
    const quotes = list?.kind === 'single' || list?.kind === 'double';
    return quotes ? 'a quote is not closed' : 'the script ends within a construct that is not closed';
  },
};

/** A value that is a name has to be a whole one: followed by nothing, or by what is assigned. */
function wrongName(state: ShellState): QuotingRefusal | undefined {
  const list = state.at(-1);
  if (list?.kind !== 'list' || !/^[A-Za-z0-9_]*@[^=]/.test(list.word?.text ?? '')) return undefined;
  return { refused: 'a value is a part of a name before this', hint: 'let the name end with the value: {{…}}=' };
}
