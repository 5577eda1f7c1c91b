import { describe, expect, onTestFinished, test } from 'vitest';
import { startApp, startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { sendRaw } from './support/raw-request.ts';
import { until } from './support/until.ts';

const instance = (address: string, state = 'ready') => JSON.stringify({ address, state });

async function start(kind: 'folder' | 'etcd') {
  const scenario = await startBalancers(kind);
  const args = (...more: readonly string[]) => ['wait', '--registry', scenario.location, ...more];
  return {
    ...scenario,
    wait: (...more: readonly string[]) => runPointsman(args(...more)),
    waiting: (...more: readonly string[]) => startPointsman(args(...more)),
  };
}

describe.each(['folder', 'etcd'] as const)('wait, with the registry in %s,', (kind) => {
  test('is over when every balancer serves an instance, and when none does any more', async () => {
    const { registry, balancerNamed, wait, waiting } = await start(kind);
    const first = waiting('web/a');
    await Promise.all([balancerNamed('lb-1'), balancerNamed('lb-2')]);
    await registry.write('instances/web/a', instance('127.0.0.1:1'));
    expect((await first.ended).code).toBe(0);
    expect(first.stdout).toEqual([expect.stringMatching(/^web\/a is served by [12] balancers? \(revision \d+, /)]);

    const { code, stdout } = await wait('web', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout[0] ?? '')).toMatchObject({ reached: true, goal: 'serves', service: 'web' });

    const gone = waiting('web/a', '--gone');
    await registry.remove('instances/web/a');
    expect((await gone.ended).code).toBe(0);
    expect(gone.stdout).toEqual([expect.stringMatching(/^web\/a is gone from 2 balancers \(/)]);
    const again = await wait('web', '--gone');
    expect({ code: again.code, stdout: again.stdout }).toEqual({
      code: 0,
      stdout: [expect.stringMatching(/^web is gone from 2 balancers \(/)],
    });
    await until('nobody marks the registry any more', async () => (await registry.read('waits/')).entries.length === 0);
  });
});

test('wait says who is missing, and why, when its time is up', async () => {
  const { registry, balancerNamed, acknowledged, wait } = await start('etcd');
  const none = await wait('web/a', '--timeout', '2s');
  expect(none.code).toBe(1);
  expect(none.stderr[0]).toMatch(/^pointsman: web\/a: not served by every balancer after \S+: it is not registered$/);
  const first = await registry.write('instances/web/a', instance('127.0.0.1:1'));
  expect((await wait('web/a', '--timeout', '2s')).stderr[0]).toContain('no balancer is alive');

  const [one, two] = [await balancerNamed('lb-1'), await balancerNamed('lb-2')];
  for (const { id } of [one, two]) await acknowledged(id, `revision ${first}`, (said) => said.revision >= first);
  two.process.kill('SIGSTOP');
  const second = await registry.write('instances/web/b', instance('127.0.0.1:2'));
  const behind = await wait('web/b', '--timeout', '3s', '--json');
  two.process.kill('SIGCONT');
  expect(behind.code).toBe(1);
  expect(JSON.parse(behind.stdout[0] ?? '')).toMatchObject({
    reached: false,
    revision: String(second),
    balancers: [{ balancer: 'lb-1' }, { balancer: 'lb-2', missing: expect.stringMatching(/^is at revision \d+$/) }],
  });

  await registry.write('instances/web/b', 'nonsense');
  expect((await wait('web/b', '--timeout', '2s')).stderr[0]).toContain('it is registered, and not readable');
  await registry.write('instances/web/a', instance('127.0.0.1:1', 'draining'));
  expect((await wait('web/a', '--timeout', '2s')).stderr[0]).toContain('it is registered, and draining');
  expect((await wait('web', '--gone', '--timeout', '2s')).stderr[0]).toContain('2 keys exist');
});

test('wait waits for a revision that is still to come, and refuses what is none', async () => {
  const { registry, balancerNamed, wait, waiting } = await start('folder');
  const revision = await registry.write('instances/web/a', instance('127.0.0.1:1'));
  await balancerNamed('lb-1');
  expect((await wait('web/a')).code).toBe(0);
  const later = waiting('web/a', '--revision', String(revision + 1n));
  await registry.write('keys/colour', 'blue');
  expect((await later.ended).code).toBe(0);
  expect((await wait('web/a', '--revision', 'x')).code).toBe(2);
  expect((await wait('web a')).code).toBe(2);
});

test('wait learns of its own key, whatever number of newer entries of another service is refused', async () => {
  const { registry, balancerNamed, acknowledged, wait } = await start('etcd');
  await balancerNamed('lb-1', '--limit-instances', '1');
  await registry.write('instances/web/a', instance('127.0.0.1:1'));
  const b = await registry.write('instances/web/b', instance('127.0.0.1:2'));
  await acknowledged('lb-1', 'web/b', (said) => said.revision >= b && said.refusals.length === 1);
  let last = b;
  for (let i = 0; i < 55; i += 1) last = await registry.write(`instances/evil/i${i}`, 'nonsense');
  await acknowledged('lb-1', 'all of them', (said) => said.revision >= last && said.untold.has('evil'));
  const refused = await wait('web/b', '--timeout', '2s');
  expect(refused.stderr[0]).toContain('does not serve it: web has 1 instances already');
  expect(refused.code).toBe(1);
  expect((await wait('web/a')).code).toBe(0);
});

test('wait for a service is not over while an operator has taken an instance out', async () => {
  const { registry, balancerNamed, wait } = await start('etcd');
  await balancerNamed('lb-1');
  const [a = '', b = ''] = await startApps('a', 'b');
  await registry.write('instances/web/a', instance(a));
  await registry.write('instances/web/b', instance(b));
  expect((await wait('web')).code).toBe(0);
  await registry.write('overrides/web/a', '{"kind":"drain"}');
  await until('it is known', async () => (await wait('web/a', '--timeout', '1s')).code === 1);
  const drained = await wait('web', '--timeout', '2s');
  expect(drained.stderr[0]).toContain('lb-1 gives web/a no requests: an operator has taken it out');
  // `wait` does not wait for an instance that leaves by itself.
  await registry.remove('overrides/web/a');
  await registry.write('instances/web/a', instance(a, 'draining'));
  expect((await wait('web')).code).toBe(0);
});

test('wait is over when an instance has passed a check, and when the newest policy is in force', async () => {
  const { registry, balancerNamed, wait, waiting } = await start('etcd');
  const balancer = await balancerNamed('lb-1');
  const { http } = balancer;
  const [a = ''] = await startApps('a');
  let healthy = false;
  const late = await startApp('b', (request, response) => {
    response.statusCode = request.url === '/health' && !healthy ? 503 : 200;
    response.end('b');
  });
  onTestFinished(() => late.close());
  const check = { kind: 'http', path: '/health', interval: '200ms' };
  await registry.write('services/web', JSON.stringify({ check }));
  await registry.write('instances/web/a', instance(a));
  expect((await wait('web/a')).code).toBe(0);
  await registry.write('instances/web/b', instance(late.address));
  const early = await wait('web/b', '--timeout', '4s');
  expect(early.stderr[0]).toContain('lb-1 gives it no requests: it has not passed a health check yet');
  expect(early.code).toBe(1);
  // Its successor knows as well.
  balancer.process.kill('SIGKILL');
  await balancer.process.ended;
  await balancer.again().logged('haproxy-adopted');
  const adopted = await wait('web/b', '--timeout', '4s');
  expect(adopted.stderr[0]).toContain('lb-1 gives it no requests: it has not passed a health check yet');
  const over = waiting('web');
  healthy = true;
  expect((await over.ended).code).toBe(0);

  const headers = { response: { set: { 'x-version': '2' } } };
  const written = await registry.write('services/web', JSON.stringify({ check, headers }));
  const { stdout } = await wait('web', '--json');
  expect(BigInt(JSON.parse(stdout[0] ?? '').revision)).toBeGreaterThanOrEqual(written);
  const answer = await sendRaw(http, 'GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
  expect(answer).toMatch(/^x-version: 2\r$/m);

  await registry.write('services/web', '{"hostz":[]}');
  const refused = await wait('web/a', '--timeout', '1s');
  expect(refused.stderr[0]).toContain('lb-1 does not serve it');
});
