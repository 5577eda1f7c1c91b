import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { startBalancer } from '../support/balancer.ts';
import { serveAll } from '../support/policies.ts';
import { until } from '../support/until.ts';

const apps = new Map<string, Awaited<ReturnType<typeof startApp>>>();
/** Requests for `/held` are answered when the test says so. */
const held: (() => void)[] = [];
afterAll(() => Promise.all([...apps.values()].map((app) => app.close())));

const addressOf = (name: string) => apps.get(name)?.address ?? '';
const many = Array.from({ length: 40 }, (_, i) => `value-${i}`);

const served = serveAll(async () => {
  for (const name of ['a', 'b', 'c', 'd']) {
    apps.set(
      name,
      await startApp(name, ({ url }, response) => {
        if (url === '/held') held.push(() => response.end(name));
        else response.end(name);
      }),
    );
  }
  const two = { a: addressOf('a'), b: addressOf('b') };
  return {
    turn: { policy: { balance: 'roundrobin' }, instances: two },
    idle: { policy: { balance: 'leastconn' }, instances: two },
    dice: { policy: { balance: 'random' }, instances: two },
    first: { policy: { balance: 'first' }, instances: two },
    source: { policy: { balance: 'source' }, instances: two },
    path: { policy: { balance: 'path' }, instances: two },
    uri: { policy: { balance: 'uri' }, instances: two },
    user: { policy: { balance: { header: 'X-User' } }, instances: two },
  };
});

const ask = async (host: string, more: object = {}, port = served.balancer.port) =>
  (await exchange(port, { host, ...more })).body;
const answers = async (host: string, variants: readonly object[], port?: number) => {
  const found: string[] = [];
  for (const more of variants) found.push(await ask(host, more, port));
  return found;
};
const times = (count: number): object[] => Array.from({ length: count }, () => ({}));
const byUser = many.map((user) => ({ headers: { 'X-User': user } }));

describe('requests are spread', () => {
  test('in turn', async () => {
    expect((await answers('turn', times(6))).sort()).toEqual(['a', 'a', 'a', 'b', 'b', 'b']);
  });

  test('to whoever has the fewest open', async () => {
    const slow = ask('idle', { path: '/held' });
    await until('it is open', () => held.length === 1);
    const others = await answers('idle', times(4));
    for (const answer of held.splice(0)) answer();
    const busy = await slow;
    expect(others).toEqual(times(4).map(() => (busy === 'a' ? 'b' : 'a')));
  });

  test('by chance', async () => {
    expect([...new Set(await answers('dice', times(60)))].sort()).toEqual(['a', 'b']);
  });

  test('to the first that has room', async () => {
    expect(new Set(await answers('first', times(6))).size).toBe(1);
  });
});

describe('requests go to one server always', () => {
  const same = async (host: string, variants: readonly object[]) => {
    const before = await answers(host, variants);
    expect(await answers(host, variants)).toEqual(before);
    expect([...new Set(before)].sort()).toEqual(['a', 'b']);
    return before;
  };

  test('by their source address', async () => {
    await same(
      'source',
      many.map((_, i) => ({ from: `127.0.1.${i + 1}` })),
    );
  });

  test('by their path, whatever the query', async () => {
    const paths = many.map((path) => ({ path: `/${path}` }));
    const before = await same('path', paths);
    expect(
      await answers(
        'path',
        paths.map(({ path }) => ({ path: `${path}?x=${path}` })),
      ),
    ).toEqual(before);
  });

  test('by their path and query', async () => {
    await same(
      'uri',
      many.map((query) => ({ path: `/?${query}` })),
    );
  });

  test('by a header', async () => {
    await same('user', byUser);
  });

  test('but for the share of one that joins, without a reload', async () => {
    const { balancer } = served;
    const [before, reloads] = [await answers('user', byUser), await balancer.metric('reloads_total')];
    balancer.change({ 'instances/user/c': addressOf('c') });
    await balancer.applied();
    const after = await answers('user', byUser);
    expect(after).toContain('c');
    expect(after.filter((name, i) => name !== 'c' && name !== before[i])).toEqual([]);
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });

  test('also on another balancer that came to know the servers in another order, and after a reload', async () => {
    const other = await startBalancer();
    try {
      const policy = JSON.stringify({ balance: { header: 'X-User' } });
      other.snapshot({ 'services/user': policy, 'instances/user/b': addressOf('b') });
      await other.balancer.start();
      other.change({ 'instances/user/c': addressOf('c') });
      await other.applied();
      other.change({ 'instances/user/a': addressOf('a') });
      await other.applied();
      expect(await other.metric('reloads_total')).toBe(0);
      const here = await answers('user', byUser);
      expect(await answers('user', byUser, other.port)).toEqual(here);
      await served.balancer.haproxy.reload();
      expect(await answers('user', byUser)).toEqual(here);
    } finally {
      await other.stop();
    }
  });
});
