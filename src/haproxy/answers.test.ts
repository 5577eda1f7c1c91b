import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerSplitter } from './answers.ts';

// As HAProxy 2.6.12 wrote them: the answers to `prompt`, `add server`, `set server … state`, `show version`.
const stream = '\n> New server registered.\n\n> \n> 2.6.12-1+deb12u4\n\n> ';
const answers = ['', 'New server registered.\n', '', '2.6.12-1+deb12u4\n'];

test('answers are the same wherever the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
      const split = answerSplitter();
      const points = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const found = points.slice(1).flatMap((end, i) => split(stream.slice(points[i], end)));
      expect(found).toEqual(answers);
    }),
  );
});

test('answers through the master are the same as those of the worker itself', () => {
  // As 2.6.12 and 3.4.7 wrote them, after the one that is asked only to enter this mode.
  const throughMaster = 'master> 9808> 2.6.12-1+deb12u3\n\n9808> # name\n\n9808> \n9808> No such backend.\n\n9808> ';
  expect(answerSplitter('\n9808> ')(throughMaster).slice(1)).toEqual(['# name\n', '', 'No such backend.\n']);
});
