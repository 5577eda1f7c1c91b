import { expect, test } from 'vitest';
import { parseServerLine } from './server-line.ts';
import { newPlaceCommands } from './step.ts';

test.each([
  [100, 99],
  [256, 255],
  [2, 1],
  [1, 2],
])('a server that gets a new place has its weight %i at the end, and is never without weight', (weight, other) => {
  const server = parseServerLine(`server a 10.0.0.1:80 weight ${weight}`);
  if (server === undefined) throw new Error('the line can be read');
  expect(newPlaceCommands({ backend: 'web', server }).map(({ text }) => text)).toEqual([
    `set server web/a weight ${other}`,
    `set server web/a weight ${weight}`,
  ]);
});
