import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTable } from './format-table.ts';

test('columns are aligned, and one that is empty is left out', () => {
  expect(
    formatTable(
      ['A', 'EMPTY', 'LAST'],
      [
        ['one', '', 'x y'],
        ['two-2', '', 'z'],
      ],
    ),
  ).toBe('A      LAST\none    x y\ntwo-2  z\n');
});

test('a cell that is too wide is folded, and painted by its own column', () => {
  const paint = (text: string, row: number, column: number) => (row === 0 && column === 2 ? `[${text}]` : text);
  const table = formatTable(['A', '', 'HOSTS'], [['web', '', 'one.example, two.example']], { paint, width: 22 });
  expect(table).toBe('A    HOSTS\nweb  [one.example,]\n     [two.example]\n');
});

test('no table of few columns is wider than the terminal, and no text is lost', () => {
  const cell = fc.stringMatching(/^[a-z.]{1,60}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 5 }), (rows) => {
      const lines = formatTable(['A', 'B', 'C'], rows, { width: 80 }).split('\n');
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
      const letters = (text: string) => [...text.replace(/[\sABC]/g, '')].sort().join('');
      expect(letters(lines.join(''))).toBe(letters(rows.flat().join('')));
    }),
  );
});

test('what comes from outside steers no terminal', () => {
  expect(formatTable(['A'], [['\u001b[2J']])).toBe('A\n\\u001b[2J\n');
});
