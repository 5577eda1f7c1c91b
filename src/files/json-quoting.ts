import type { Quoting } from '../render/quoting.ts';

type State = 'outside' | 'string' | 'escape';

function next(at: State, char: string): State {
  if (at === 'escape') return 'string';
  if (at === 'string') return char === '"' ? 'outside' : char === '\\' ? 'escape' : 'string';
  return char === '"' ? 'string' : 'outside';
}

/** JSON's strings: a value brings its own quotes, so it must not stand within others. */
export const jsonQuoting: Quoting<State> = {
  start: 'outside',
  after: (at, text) => {
    let state = at;
    for (const char of text) state = next(state, char);
    return state;
  },
  afterValue: (at) =>
    at === 'outside'
      ? at
      : { refused: 'stands within quotes', hint: 'the escape json writes the quotes too: leave yours out' },
  either: () => ({ refused: 'this section ends within quotes, or begins there and ends outside' }),
  unfinished: (at) => (at === 'outside' ? undefined : 'a string is not closed with "'),
};
