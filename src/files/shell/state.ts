import type { Rule } from './commands.ts';

/** Where a list of commands is: what its next word would be. */
export type Mode =
  /** A reserved word, an assignment or the name of a command. */
  | 'start'
  /** The same after `exec` and the like: no reserved word. */
  | 'led'
  | 'arguments'
  /** After `fi`, `)` and the like: nothing but a redirection. */
  | 'closed'
  /** After `for`; after its name. */
  | 'for'
  | 'in'
  | 'function'
  /** After `case`; after its word; before a `)`. */
  | 'case'
  | 'of'
  | 'pattern'
  /** A list of words in an array. */
  | 'array'
  /** A section may have been left out, so that this may be any of these. */
  | 'unsure';

/**
 * The word that is being read: its text with its quotes, with `?` for what the template does not say plainly and `@` for a
 * value that is the name of a variable.
 */
export type ShellWord = { readonly text: string; readonly value: boolean };

/** Commands one after the other, up to what ends them. */
export type List = {
  readonly kind: 'list';
  readonly until: 'end' | ')' | 'esac';
  /** Begun by `(`, so that another one makes arithmetic of it. */
  readonly opened: 'command' | 'substitution' | 'other';
  readonly mode: Mode;
  readonly rule: Rule;
  readonly word: ShellWord | undefined;
  /** Whether it is certain that a word begins or does not begin here: if not, `#` may begin a comment. */
  readonly sure: boolean;
  /** The next word is the file of a redirection. */
  readonly target: boolean;
  /** The operator that was just read; `()` after the `(` of a function. */
  readonly operator: '' | '(' | '()' | '<' | '>' | ';' | '&' | '|';
};

export type Frame =
  | List
  | { readonly kind: 'single' }
  | { readonly kind: 'double' }
  | { readonly kind: 'comment' }
  /** After `\`. */
  | { readonly kind: 'escape' }
  /** After `$`. */
  | { readonly kind: 'dollar' }
  /** `${…}`. */
  | { readonly kind: 'parameter'; readonly quoted: boolean }
  /** `$((…))` or `((…))`. */
  | { readonly kind: 'arithmetic'; readonly command: boolean; readonly depth: number; readonly closing: boolean }
  /** `[[ … ]]`. */
  | { readonly kind: 'condition'; readonly word: string };

/** Constructs within each other, the innermost last. */
export type ShellState = readonly Frame[];

const texts: Rule = { kind: 'texts' };

export const newList = (until: List['until'], opened: List['opened'], mode: Mode = 'start'): List => ({
  ...{ kind: 'list', until, opened, mode, rule: texts, word: undefined, sure: true, target: false, operator: '' },
});

export const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** The place that covers all of these possible places; undefined: they differ too much. */
export function join(one: ShellState, other: ShellState): ShellState | undefined {
  const [a, b] = [one.at(-1), other.at(-1)];
  if (a?.kind !== 'list' || b?.kind !== 'list' || !same(one.slice(0, -1), other.slice(0, -1))) return undefined;
  if (a.until !== b.until || a.operator !== b.operator || a.target !== b.target) return undefined;
  const alike = a.mode === b.mode && same(a.rule, b.rule);
  const sure = a.sure && b.sure && (a.word === undefined) === (b.word === undefined);
  const fixed: readonly Mode[] = ['case', 'of', 'pattern', 'for', 'in', 'function', 'array'];
  if (!alike && (fixed.includes(a.mode) || fixed.includes(b.mode))) return undefined;
  const word = joinWords(a.word, b.word);
  const opened = a.opened === b.opened ? a.opened : 'other';
  const joined: List = { ...a, opened, word, sure, ...(alike ? {} : { mode: 'unsure', rule: texts }) };
  return [...one.slice(0, -1), joined];
}

function joinWords(one: ShellWord | undefined, other: ShellWord | undefined): ShellWord | undefined {
  if (same(one, other)) return one;
  const value = one?.value === true || other?.value === true;
  const heads = [one?.text, other?.text].map((text) => /^[A-Za-z_@][A-Za-z0-9_@]*\+?=/.exec(text ?? '')?.[0]);
  return { text: heads[0] !== undefined && heads[0] === heads[1] ? `${heads[0]}?` : '?', value };
}
