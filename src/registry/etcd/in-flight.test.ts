import { describe, expect, test } from 'vitest';
import { InFlight } from './in-flight.ts';

const never = new AbortController().signal;
const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

describe('calls in flight', () => {
  test('are so many at most, and the others follow in order', async () => {
    const inFlight = new InFlight(2);
    const entered: string[] = [];
    const leave = new Map<string, () => void>();
    for (const name of ['a', 'b', 'c', 'd']) {
      void inFlight.enter(never).then((leaving) => {
        entered.push(name);
        if (leaving !== undefined) leave.set(name, leaving);
      });
    }
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b']);
    leave.get('b')?.();
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b', 'c']);
    leave.get('a')?.();
    leave.get('c')?.();
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b', 'c', 'd']);
    leave.get('d')?.();
    expect(await inFlight.enter(never)).toBeTypeOf('function');
    expect(await inFlight.enter(never)).toBeTypeOf('function');
  });

  test('do not wait for one that has given up', async () => {
    const inFlight = new InFlight(1);
    const leave = await inFlight.enter(never);
    const patience = new AbortController();
    const second = inFlight.enter(patience.signal);
    const third = inFlight.enter(never);
    patience.abort();
    expect(await second).toBeUndefined();
    leave?.();
    expect(await third).toBeTypeOf('function');
    expect(await inFlight.enter(AbortSignal.abort())).toBeUndefined();
  });
});
