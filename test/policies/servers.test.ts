import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import type { Asking } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { until } from '../support/until.ts';

const apps = new Map<string, Awaited<ReturnType<typeof startApp>>>();
/** Requests for `/held` are answered when the test says so. */
let held: { readonly name: string; readonly answer: () => void }[] = [];
afterAll(() => Promise.all([...apps.values()].map((app) => app.close())));

const addressOf = (name: string) => apps.get(name)?.address ?? '';

const served = serveAll(
  async () => {
    for (const name of ['a', 'b', 'c']) {
      apps.set(
        name,
        await startApp(name, ({ url }, response) => {
          if (url === '/held') held.push({ name, answer: () => response.end(name) });
          else response.end(name);
        }),
      );
    }
    const [a, b] = [addressOf('a'), addressOf('b')];
    return {
      sticky: {
        policy: { balance: 'roundrobin', sticky: { cookie: 'SRV', secure: true, sameSite: 'Lax' } },
        instances: { a, b },
      },
      full: { policy: { maxconn: 1 }, instances: { a } },
      busy: { policy: { maxconn: 1, timeouts: { queue: '300ms' } }, instances: { a } },
      queue: { policy: { maxconn: 1, maxqueue: 1, sticky: { cookie: 'SRV' } }, instances: { a, b } },
      near: {
        policy: { preferZone: true },
        instances: { a: { address: a, zone: 'eu' }, b: { address: b, zone: 'us' }, c: addressOf('c') },
      },
      spare: { instances: { a, b: { address: b, role: 'backup' }, c: { address: addressOf('c'), role: 'backup' } } },
      slow: { policy: { balance: 'roundrobin', slowStart: '1h' }, instances: { a } },
    };
  },
  () => ({ zone: 'eu' }),
);

let reloads = 0;
beforeEach(async () => {
  reloads = await served.balancer.metric('reloads_total');
});
const noReload = async () => expect(await served.balancer.metric('reloads_total')).toBe(reloads);

const { ask } = served;
const answers = async (count: number, host: string, more: Partial<Asking> = {}) => {
  const found: string[] = [];
  for (let i = 0; i < count; i += 1) found.push((await ask(host, more)).body);
  return found;
};
const names = async (count: number, host: string) => [...new Set(await answers(count, host))].sort();
const release = (name?: string) => {
  for (const one of held) if (name === undefined || one.name === name) one.answer();
  held = held.filter((one) => name !== undefined && one.name !== name);
};

/** Asks until each of these answered, and gives the cookie that came with each. */
async function cookies(host: string, from: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  await until(`a cookie of ${from.join()}`, async () => {
    const { body, headers } = await ask(host);
    const cookie = /^SRV=[0-9a-f]{16}/.exec(headers['set-cookie']?.[0] ?? '')?.[0];
    if (cookie !== undefined) found.set(body, cookie);
    return from.every((name) => found.has(name));
  });
  return found;
}

describe('a sticky service', () => {
  test('sets a cookie that leads back to the server', async () => {
    const { headers } = await ask('sticky');
    expect(headers['set-cookie']).toEqual([
      expect.stringMatching(/^SRV=[0-9a-f]{16}; path=\/; HttpOnly; Secure; SameSite=Lax$/),
    ]);
    for (const [name, cookie] of await cookies('sticky', ['a', 'b'])) {
      expect(await answers(4, 'sticky', { headers: { cookie } })).toEqual([name, name, name, name]);
    }
  });

  test('does so for a server that joins at run time, and leads away from one that drains, without a reload', async () => {
    const { balancer } = served;
    balancer.change({ 'instances/sticky/c': addressOf('c') });
    await balancer.applied();
    const cookie = (await cookies('sticky', ['a', 'b', 'c'])).get('c') ?? '';
    expect(await answers(4, 'sticky', { headers: { cookie } })).toEqual(['c', 'c', 'c', 'c']);
    balancer.change({ 'instances/sticky/c': JSON.stringify({ address: addressOf('c'), state: 'draining' }) });
    await balancer.applied();
    expect(await answers(4, 'sticky', { headers: { cookie } })).not.toContain('c');
    await noReload();
  });
});

describe('maxconn', () => {
  test('is how many requests a server has at once; the next one waits', async () => {
    const first = ask('full', { path: '/held' });
    await until('the first is open', () => held.length === 1);
    const second = ask('full', { path: '/held' });
    await until('the second waits', async () => queued('full'));
    expect(held.length).toBe(1);
    release();
    expect((await first).status).toBe(200);
    await until('the second is open', () => held.length === 1);
    release();
    expect((await second).status).toBe(200);
  });

  test('makes a request wait as long as the queue timeout says', async () => {
    const first = ask('busy', { path: '/held' });
    await until('the first is open', () => held.length === 1);
    expect((await ask('busy')).status).toBe(503);
    release();
    expect((await first).status).toBe(200);
  });

  test('and maxqueue lets others take those that would wait too long in a row', async () => {
    const cookie = (await cookies('queue', ['a'])).get('a') ?? '';
    const pinned = { headers: { cookie } };
    const first = ask('queue', { ...pinned, path: '/held' });
    await until('the first is open', () => held.length === 1);
    const second = ask('queue', pinned);
    await until('the second waits', async () => queued('queue'));
    expect((await ask('queue', pinned)).body).toBe('b');
    release();
    expect([(await first).body, (await second).body]).toEqual(['a', 'a']);
  });
});

/** Whether a request waits for a server of this backend. */
async function queued(backend: string): Promise<boolean> {
  const [stat = ''] = await served.balancer.command('show stat');
  const [heading = '', ...rows] = stat.split('\n').map((row) => row.replace(/^# /, ''));
  const column = heading.split(',').indexOf('qcur');
  return rows.some((row) => row.startsWith(`${backend},`) && Number(row.split(',')[column]) > 0);
}

describe('a zone', () => {
  test('that is preferred takes all requests while a server of it is up, then the others share them', async () => {
    const { balancer } = served;
    expect(await names(8, 'near')).toEqual(['a']);
    balancer.change({ 'instances/near/a': undefined });
    await balancer.applied();
    expect(await names(12, 'near')).toEqual(['b', 'c']);
    balancer.change({ 'instances/near/a': JSON.stringify({ address: addressOf('a'), zone: 'eu' }) });
    await balancer.applied();
    // It has passed its first check a moment later.
    await until('it takes all requests', async () => (await names(8, 'near')).join() === 'a');
    await noReload();
  });
});

test('backup instances share the requests when no other is up', async () => {
  const { balancer } = served;
  expect(await names(8, 'spare')).toEqual(['a']);
  balancer.change({ 'instances/spare/a': JSON.stringify({ address: addressOf('a'), state: 'maintenance' }) });
  await balancer.applied();
  expect(await names(12, 'spare')).toEqual(['b', 'c']);
  await noReload();
});

test('a slow start gives a server that joins little at first', async () => {
  const { balancer } = served;
  balancer.change({ 'instances/slow/b': addressOf('b') });
  await balancer.applied();
  const found = await answers(100, 'slow');
  expect(found.filter((name) => name === 'b').length).toBeLessThan(15);
  await noReload();
});
