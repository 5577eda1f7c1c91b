import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { exchange } from './support/ask.ts';
import { startBalancers } from './support/balancers.ts';
import { isNightly } from './support/nightly.ts';
import { randomFrom } from './support/random.ts';
import { until } from './support/until.ts';

type Change = { readonly key: string; readonly value: string | null };

async function startPlanned() {
  const fleet = await startBalancers('etcd');
  const balancer = await fleet.balancerNamed('lb-1');
  await balancer.process.logged('serving');
  /** Makes the changes in one revision. */
  const put = async (...changes: readonly Change[]) => {
    const present = new Map((await fleet.registry.read('')).entries.map((entry) => [entry.key, entry.revision]));
    const guarded = changes
      .filter(({ key, value }) => value !== null || present.has(key))
      .map(({ key, value }) => ({ key, value: value ?? undefined, since: present.get(key) }));
    if (guarded.length === 0) return;
    const done = await fleet.registry.transact({ changes: guarded });
    const revision = done.kind === 'done' ? done.revision : undefined;
    if (revision === undefined) throw new Error('somebody else wrote');
    // A reload that takes long is acknowledged before its end, with what it leaves unserved.
    await until(`revision ${revision} is applied`, async () => {
      const { revisionApplied, pendingReload } = await balancer.status();
      return BigInt(revisionApplied) >= revision && pendingReload.length === 0;
    });
  };
  const post = (body: string, headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' }) =>
    exchange(balancer.admin, { host: 'localhost', path: '/plan', method: 'POST', body, headers });
  const plan = async (...changes: readonly Change[]) => {
    for (;;) {
      const answer = await post(JSON.stringify({ changes, validate: true }));
      if (answer.status === 200) return JSON.parse(answer.body);
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': expect.stringMatching(/^[1-9]$/) } });
    }
  };
  return { ...fleet, balancer, put, post, plan };
}

test('a balancer says which commands or which reload a change would need, and changes nothing', async () => {
  const { balancer, put, plan } = await startPlanned();
  const [a = '', b = ''] = await startApps('a', 'b');
  await put({ key: 'instances/web/a', value: a });
  const before = await balancer.status();

  const added = await plan({ key: 'instances/web/b', value: b });
  expect(added).toMatchObject({ services: 1, instances: 2, unserved: [], conflicts: { count: 0 } });
  expect(added.commands.first).toEqual([expect.stringContaining(`add server web/b ${b}`)]);
  expect(added.reload).toEqual({ count: 0, first: [] });

  const policy = JSON.stringify({ hosts: ['shop.test'], timeouts: { server: '7s' } });
  const changed = await plan({ key: 'services/web', value: policy });
  expect(changed.reload.first).toEqual(['the settings of service web changed']);
  expect(changed.validation).toEqual({ kind: 'accepted' });
  expect(changed.routes.first).toContain('+ shop.test/ web');

  const wrong = await plan({ key: 'services/web', value: '{"hostz": []}' }, { key: 'instances/web/a', value: 'x' });
  expect(wrong.unserved).toEqual([
    { key: 'services/web', reason: expect.stringContaining('hostz'), lastGoodServes: false },
    { key: 'instances/web/a', reason: expect.any(String), lastGoodServes: true },
  ]);
  // The service has no good policy, so it would answer 503.
  expect(wrong.commands.first).toEqual([expect.stringContaining('maintenance')]);
  expect(wrong).toMatchObject({ reload: { count: 0 } });

  const { revisionApplied, services } = await balancer.status();
  expect({ revisionApplied, services }).toEqual({
    revisionApplied: before.revisionApplied,
    services: before.services,
  });
});

test('every large request gets an answer, also while the balancer does not read it', async () => {
  const { balancer, post, plan } = await startPlanned();
  const nested = `{"changes":${'['.repeat(8 * 2 ** 20 - 20)}`;
  const question = JSON.stringify({ changes: [{ key: 'keys/large', value: 'x'.repeat(7 * 2 ** 20) }] });
  const questions = Array.from({ length: 4 }, () => post(question));
  const answers = await Promise.all([...questions, post(nested), post(nested)]);
  for (const { status } of answers) expect([200, 400, 503]).toContain(status);
  expect(answers.some(({ status }) => status === 503)).toBe(true);
  expect((await plan({ key: 'services/web', value: '{}' })).unserved).toEqual([]);
  expect((await exchange(balancer.admin, { host: 'localhost', path: '/readyz' })).status).toBe(200);
});

test('what a balancer planned is what happens then', async () => {
  const { balancer, put, plan } = await startPlanned();
  const seed = Number(process.env['PLAN_SEED'] ?? Date.now() % 100_000);
  const next = randomFrom(seed);
  const below = (count: number): number => Math.floor(next() * count);
  const pick = <T>(all: readonly [T, ...T[]]): T => all[below(all.length)] ?? all[0];
  const hosts = ['a.test', 'b.test', '*.c.test'] as const;
  const services = ['web', 'api', 'db'] as const;
  const ids = ['one', 'two', 'three'] as const;
  const change = (): Change => {
    const service = pick(services);
    const kind = pick(['instance', 'instance', 'policy', 'override', 'claim']);
    const gone = below(4) === 0;
    const of = (key: string, value: object): Change => ({ key, value: gone ? null : JSON.stringify(value) });
    const port = 20_000 + below(3);
    switch (kind) {
      case 'instance':
        return of(`instances/${service}/${pick(ids)}`, {
          address: `127.0.0.1:${port}`,
          weight: 50 + below(2),
          state: pick(['ready', 'draining']),
        });
      case 'policy':
        return of(`services/${service}`, {
          hosts: [pick(hosts)],
          ...(below(2) === 0 ? { maxconn: 100 } : {}),
        });
      case 'override':
        return of(`overrides/${service}/*`, { weight: below(3) * 10 });
      default:
        return of(`claims/${service}`, { hosts: [pick(hosts)] });
    }
  };
  for (let i = 0; i < (isNightly ? 200 : 30); i += 1) {
    const made = [...new Map(Array.from({ length: 1 + below(3) }, change).map((one) => [one.key, one])).values()];
    const planned = await plan(...made);
    const from = balancer.process.log.length;
    await put(...made);
    const log = balancer.process.log.slice(from);
    const steps = log.filter(({ event }) => event === 'step').map(({ step }) => String(step));
    // HAProxy 3.4 deletes the empty backend of a service that left a moment later: before the plan, or after it.
    const withoutBackends = (all: readonly string[]) => all.filter((step) => !/^(add|publish) backend /.test(step));
    const reloads = log.filter(({ event }) => event === 'reloaded').flatMap(({ reasons }) => reasons as string[]);
    expect({ seed, i, made, steps: withoutBackends(steps), reloads }).toEqual({
      seed,
      i,
      made,
      steps: withoutBackends(planned.commands.first),
      reloads: planned.reload.first,
    });
  }
});
