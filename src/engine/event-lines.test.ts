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

  test('ends at a line without an end', () => {
    const stream = new EventLines(() => undefined);
    expect(stream.add(Buffer.alloc(1024 * 1024, 'x'))).toBeUndefined();
    expect(stream.add(Buffer.from('x'))).toBe('an event is longer than 1048576 bytes');
  });
});
