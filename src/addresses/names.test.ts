import { describe, expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { HostNames, type Lookup, type LookupAnswer } from './names.ts';

const service = (name: string) => name as ServiceName;
const id = (name: string) => name as InstanceId;
const found = (...addresses: string[]): LookupAnswer => ({ kind: 'found', addresses, ttlMs: undefined });
const failed = (reason: string): LookupAnswer => ({ kind: 'failed', reason });

function start() {
  const names = new HostNames({ intervalMs: 10_000, most: 4, mostOfService: 2 });
  return {
    names,
    want: (name: string, of = 'web', one = 'a') => names.want(name, service(of), id(one)),
    unwant: (name: string, of = 'web', one = 'a') => names.unwant(name, service(of), id(one)),
    take: (now: number) => names.take(now).map(({ name }) => name),
    /** Takes what is due and gives each the same answer. */
    answer: (now: number, answer: LookupAnswer) => names.take(now).map((lookup) => names.answered(lookup, answer, now)),
  };
}

describe('names', () => {
  test('a name is looked up once, and again after the interval or its TTL', () => {
    const { names, want, take, answer } = start();
    want('x.example');
    want('x.example', 'web', 'b');
    expect(names.settling).toBe(true);
    expect(answer(0, found('10.0.0.1'))).toEqual([true]);
    expect(names.settling).toBe(false);
    expect(take(9999)).toEqual([]);
    expect(names.dueInMs(0)).toBe(10_000);
    expect(answer(10_000, { kind: 'found', addresses: ['10.0.0.1'], ttlMs: 3000 })).toEqual([false]);
    expect(names.dueInMs(10_000)).toBe(3000);
    expect(answer(13_000, { kind: 'found', addresses: ['10.0.0.1'], ttlMs: 0 })).toEqual([false]);
    expect(names.dueInMs(13_000)).toBe(1000);
  });

  test('the address in use is kept as long as the name has it, else it is the first in order', () => {
    const { names, want, answer } = start();
    want('x.example');
    answer(0, found('10.0.0.2', '10.0.0.1'));
    expect(names.of('x.example')?.address).toBe('10.0.0.1');
    expect(answer(10_000, found('10.0.0.0', '10.0.0.1'))).toEqual([false]);
    expect(answer(20_000, found('10.0.0.9', '10.0.0.2'))).toEqual([true]);
    expect(names.of('x.example')?.address).toBe('10.0.0.2');
  });

  test('a failure keeps the address, is told once, and is tried again ever later', () => {
    const { names, want, answer } = start();
    want('x.example');
    answer(0, found('10.0.0.1'));
    expect(answer(10_000, failed('silence'))).toEqual([true]);
    expect(names.of('x.example')).toMatchObject({ address: '10.0.0.1', trouble: 'silence' });
    expect(names.counts).toEqual({ resolved: 0, stale: 1, unresolved: 0 });
    let now = 10_000;
    for (const wait of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      expect(names.dueInMs(now)).toBe(wait);
      now += wait;
      expect(answer(now, failed('silence'))).toEqual([false]);
    }
    expect(answer(now + 30_000, found('10.0.0.1'))).toEqual([true]);
    expect(names.of('x.example')?.trouble).toBeUndefined();
  });

  test('each service has a share of the lookups, and the services take turns', () => {
    const { names, want, take } = start();
    for (let i = 0; i < 1000; i += 1) want(`e${i}.example`, 'evil', `e${i}`);
    want('shop.example', 'shop');
    want('api.example', 'api');
    const asked: Lookup[] = [...names.take(0)];
    expect(asked.map(({ name }) => name).sort()).toEqual(['api.example', 'e0.example', 'e1.example', 'shop.example']);
    expect(take(0)).toEqual([]);
    want('web.example', 'web');
    for (const lookup of asked.filter((one) => one.service === 'evil')) names.answered(lookup, failed('silence'), 10);
    expect(take(10)).toContain('web.example');
  });

  test('a name that nobody has any more is forgotten when it is due, and not before', () => {
    const { names, want, unwant, answer, take } = start();
    want('x.example');
    answer(0, found('10.0.0.1'));
    unwant('x.example');
    expect(names.counts.resolved).toBe(0);
    want('x.example', 'web', 'b');
    expect(names.of('x.example')?.address).toBe('10.0.0.1');
    unwant('x.example', 'web', 'b');
    expect(take(10_000)).toEqual([]);
    expect(names.of('x.example')).toBeUndefined();
    want('y.example');
    unwant('y.example');
    expect([take(10_001), names.settling]).toEqual([[], false]);
  });

  test('the names of a crowd are looked up less often', () => {
    const { names, want, answer } = start();
    for (let i = 0; i < 2000; i += 1) want(`n${i}.example`, 'web', `n${i}`);
    answer(0, { kind: 'found', addresses: ['10.0.0.1'], ttlMs: 0 });
    expect(names.dueInMs(0)).toBe(20_000);
  });

  test('what was served before is remembered for a name of which nothing else is known', () => {
    const { names, want, answer } = start();
    want('x.example');
    names.remember('x.example', '10.0.0.7');
    names.remember('y.example', '10.0.0.7');
    expect([names.of('x.example')?.address, names.of('y.example'), names.settling]).toEqual([
      '10.0.0.7',
      undefined,
      false,
    ]);
    answer(0, found('10.0.0.1'));
    names.remember('x.example', '10.0.0.7');
    expect(names.of('x.example')?.address).toBe('10.0.0.1');
  });
});
