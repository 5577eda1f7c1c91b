import type { QuotingRefusal } from '../../template/quoting.ts';
import { afterArgument, isSpecial, leadsOn, refusalAtEnd, ruleOf } from './commands.ts';
import { type Frame, type List, type Mode, newList, type ShellState } from './state.ts';

const begins = new Set(['if', 'then', 'else', 'elif', 'while', 'until', 'do', '!', '{', 'time']);
const ends = new Set(['fi', 'done', '}']);
/** Those after which the machine would lose its way, if a section decides whether they are words of a command. */
const leading = new Set(['case', 'for', 'select', 'function', '[[', 'esac', 'in']);

export const assignment = /^([A-Za-z_@][A-Za-z0-9_@]*)\+?=/;

/** Ends the word of the innermost list, if there is one: what it means is known now. */
export function endWord(state: ShellState, list: List): ShellState | QuotingRefusal {
  const { word, target } = list;
  const rest = state.slice(0, -1);
  if (word === undefined) return state;
  const ended: List = { ...list, word: undefined, target: false };
  const to = (mode: Mode, more: Partial<List> = {}): ShellState => [...rest, { ...ended, mode, ...more }];
  const { text, value } = word;
  const named = list.mode === 'arguments' && list.rule.kind === 'names';
  if (text.includes('@') && !assignment.test(text) && !(named && /^[A-Za-z0-9_@]+$/.test(text))) {
    return { refused: 'a value is the name of a command before this', hint: 'write the name of the command' };
  }
  if (target) return to(list.mode);
  switch (list.mode) {
    case 'start':
    case 'led':
      return endFirst(list, text, to, rest);
    case 'arguments': {
      const rule = afterArgument(list.rule, text, value);
      return 'refused' in rule ? rule : to('arguments', { rule });
    }
    case 'for':
      return isSpecial(text)
        ? {
            refused: `a loop over ${text}, on which the shell acts, is not understood here`,
            hint: 'name another variable',
          }
        : to('in');
    case 'in':
      return to(text === 'in' ? 'arguments' : text === 'do' ? 'start' : 'closed');
    case 'function':
      return to('start');
    case 'case':
      return to('of');
    case 'of':
      if (text !== 'in') return { refused: `case is followed by ${text} where in should be` };
      return [...rest, { ...ended, mode: 'closed' }, newList('esac', 'other', 'pattern')];
    case 'pattern':
      return text === 'esac' && list.until === 'esac' ? rest : to('pattern');
    case 'unsure':
      if (!leading.has(text)) return to('unsure');
      return { refused: `a section decides whether ${text} is a word of the shell`, hint: 'begin a line before it' };
    case 'closed':
    case 'array':
      return to(list.mode);
  }
}

/** Ends a word where a command begins. */
function endFirst(list: List, text: string, to: (mode: Mode, more?: Partial<List>) => ShellState, rest: ShellState) {
  const equals = assignment.exec(text);
  if (equals !== null) return to(list.mode);
  if (list.mode === 'led') {
    // `exec -a` takes a word before the command. Which options do is known of these only.
    if (/^-([clpvV]+|-)$/.test(text) || leadsOn(text)) return to('led');
    return to('arguments', { rule: ruleOf(text) });
  }
  // -p and -- are options of `time`. No command has such a name.
  if (begins.has(text) || text === '-p' || text === '--') return to('start');
  if (ends.has(text)) return to('closed');
  if (leadsOn(text)) return to('led');
  switch (text) {
    case 'case':
      return to('case');
    case 'for':
    case 'select':
      return to('for');
    case 'function':
      return to('function');
    case '[[':
      return [...to('closed'), { kind: 'condition', word: '' } satisfies Frame];
    case 'esac':
      return list.until === 'esac' ? rest : { refused: 'this esac closes nothing' };
    default:
      return to('arguments', { rule: ruleOf(text) });
  }
}

/** Ends a command: by a line's end, `;`, `&` or `|`. */
export function closeCommand(state: ShellState): ShellState | QuotingRefusal {
  const list = state.at(-1);
  if (list?.kind !== 'list') return state;
  const wrong = list.mode === 'arguments' ? refusalAtEnd(list.rule) : undefined;
  if (wrong !== undefined) return wrong;
  return [...state.slice(0, -1), { ...list, mode: 'start', rule: { kind: 'texts' }, target: false, sure: true }];
}

/** Why nothing may be assigned to the variable of this word. */
export function refusedVariable(text: string): QuotingRefusal | undefined {
  const name = assignment.exec(text)?.[1];
  return name !== undefined && isSpecial(name)
    ? { refused: `is assigned to ${name}, on which the shell acts`, hint: 'name another variable' }
    : undefined;
}
