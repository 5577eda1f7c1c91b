import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import type { Asking } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const served = serveAll(async () => {
  const app = await startApp('app');
  closing.push(app.close);
  const rated = (by: unknown, requests = 2, per = '1h') => ({
    policy: { rateLimit: { requests, per, by } },
    instances: { a: app.address },
  });
  return {
    keyed: rated({ header: 'X-Api-Key' }),
    'keyed-too': rated({ header: 'X-Api-Key' }),
    paths: rated('path'),
    sessions: rated({ cookie: 'session' }),
    clients: rated('client'),
    alone: { policy: { rateLimit: { requests: 2, per: '1h', scope: 'fleet' } }, instances: { a: app.address } },
    steady: rated('client', 5, '1s'),
  };
});

async function statuses(host: string, ...askings: readonly Partial<Asking>[]): Promise<readonly number[]> {
  const found = [];
  for (const asking of askings) found.push((await served.ask(host, asking)).status);
  return found;
}
const withKey = (key: string, from = '127.0.0.1') => ({ headers: { 'X-Api-Key': key }, from });
const at = (path: string) => ({ path });

describe('a rate limit', () => {
  test('by header counts each value, from all clients together', async () => {
    const one = withKey('one');
    expect(await statuses('keyed', one, withKey('one', '127.0.0.2'), one, withKey('two'))).toEqual([
      200, 200, 429, 200,
    ]);
    expect(await statuses('keyed-too', one)).toEqual([200]);
  });

  test('by header counts values as different that differ only at their ends', async () => {
    const [one, two] = [withKey(`${'k'.repeat(3000)}1`), withKey(`${'k'.repeat(3000)}2`)];
    expect(await statuses('keyed', one, one, one, two, two, two)).toEqual([200, 200, 429, 200, 200, 429]);
  });

  test('by header counts requests without the header by client', async () => {
    const [here, there] = [{ from: '127.0.0.3' }, { from: '127.0.0.4' }];
    const empty = withKey('', '127.0.0.3');
    expect(await statuses('keyed', here, empty, here, there, withKey('three', '127.0.0.3'))).toEqual([
      200, 200, 429, 200, 200,
    ]);
  });

  test('by cookie counts each value', async () => {
    const session = (value: string) => ({ headers: { Cookie: `a=b; session=${value}; c=d` } });
    expect(await statuses('sessions', session('1'), session('1'), session('1'), session('2'))).toEqual([
      200, 200, 429, 200,
    ]);
  });

  test('by path counts each path in its normal form, without the query', async () => {
    const found = await statuses('paths', at('/a?x=1'), at('/%61?x=2'), at('//a'), at('/b/../a;c'), at('/b'));
    expect(found).toEqual([200, 200, 429, 429, 200]);
  });

  test('of the fleet is the whole limit for a balancer that is alone', async () => {
    expect(await statuses('alone', {}, {}, {})).toEqual([200, 200, 429]);
  });

  test('does not show the values in the table of HAProxy', async () => {
    await statuses('keyed', withKey('secret-value'));
    const tables = (await served.balancer.command('show table'))[0] ?? '';
    const names = [...tables.matchAll(/^# table: (\S+-rates)/gm)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(2);
    const shown = await served.balancer.command(...names.map((name) => `show table ${name}`));
    expect(shown.join('')).toContain('key=keyed/');
    expect(shown.join('')).not.toContain('secret-value');
  });

  test('lets requests up to the limit pass while a client sends more', async () => {
    const end = performance.now() + 3000;
    let passed = 0;
    let refused = 0;
    while (performance.now() < end) {
      const { status } = await served.ask('steady');
      if (status === 200) passed += 1;
      else refused += 1;
    }
    // 5 at once, and about 5 in each of the 3 seconds after that.
    expect(refused).toBeGreaterThan(passed);
    expect(passed).toBeGreaterThanOrEqual(10);
    expect(passed).toBeLessThanOrEqual(24);
  });
});
