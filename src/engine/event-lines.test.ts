import { describe, expect, test } from 'vitest';
import { EventLines } from './event-lines.ts';

describe('the stream of events', () => {
  test('gives the same lines wherever its chunks end', () => {
    const text = Buffer.from('{"a":"ä"}\n{"b":2}\n');
    for (let at = 0; at <= text.length; at += 1) {
      const lines: string[] = [];
      const stream = new EventLines((line) => lines.push(line));
      stream.add(text.subarray(0, at));
      stream.add(text.subarray(at));
      expect(lines).toEqual(['{"a":"ä"}', '{"b":2}']);
    }
  });

  test('skips a line that is too long, and goes on with the next one', () => {
    const long = Buffer.concat([Buffer.alloc(1024 * 1024 + 1, 'x'), Buffer.from('\n')]);
    for (const chunk of [64 * 1024, long.length, 3 * long.length]) {
      const lines: string[] = [];
      const stream = new EventLines((line) => lines.push(line));
      const bytes = Buffer.concat([Buffer.from('a\n'), long, Buffer.from('b\n'), long, Buffer.from('c\n')]);
      for (let at = 0; at < bytes.length; at += chunk) stream.add(bytes.subarray(at, at + chunk));
      expect(lines).toEqual(['a', 'b', 'c']);
    }
  });
});
