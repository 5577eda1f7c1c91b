import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TerminalScreen } from '../scripts/terminal-screen.mjs';
import { terminalSvg } from '../scripts/terminal-svg.mjs';

const texts = (screen: TerminalScreen) => screen.rows.map((row) => row.map(({ text }) => text).join('|'));

test('the screen of a picture scrolls, folds long lines, and is drawn over again', () => {
  const screen = new TerminalScreen(5, 3);
  screen.write('one\r\n\u001b[1mtwo\u001b[22m x\r\nabcdefg');
  expect(texts(screen)).toEqual(['two| x', 'abcde', 'fg']);
  screen.write('\r\u001b[2Khi\b!');
  expect(texts(screen)[2]).toBe('h!');
});

test('a picture shows one frame after the other and ends with the last', () => {
  const outputs = ['a', '<b>'].map((text, index) => ({ atMs: index * 1000, text }));
  const svg = terminalSvg(outputs, { columns: 10, rows: 2, title: 'a & b', endMs: 3000 });
  expect(svg).toContain('animation:p 4.00s step-end infinite');
  expect(svg).toContain('@keyframes p{0.00%{transform:translateY(0px)}25.00%{transform:translateY(-70px)}');
  expect(svg).toContain('a&lt;b&gt;');
  expect(svg).toContain('<title>a &amp; b</title>');
});

test('the picture of the README is small, and asks nobody for anything', async () => {
  const svg = await readFile(join(import.meta.dirname, '../docs/pictures/terminal.svg'), 'utf8');
  expect(Buffer.byteLength(svg)).toBeLessThan(150_000);
  expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/<script|<image|url\(|@import|(href|src)="(?!#)/);
  expect(svg).toContain('prefers-reduced-motion');
  expect(svg).toMatch(/rolling deploy over after/);
  expect(svg).toMatch(/requests answered, 0 failed/);
});
