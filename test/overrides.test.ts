import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceName } from '../src/model/name.ts';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { startBalancer, type TestBalancer } from './support/balancer.ts';
import type { LogLine } from './support/processes.ts';
import { until } from './support/until.ts';

const web = 'web' as ServiceName;

describe('an override', () => {
  let balancer: TestBalancer;
  let apps: Awaited<ReturnType<typeof startApp>>[];

  beforeEach(async () => {
    balancer = await startBalancer({ guard: { holdMs: 600_000 } });
    apps = await Promise.all(['a', 'b', 'c', 'd'].map((name) => startApp(name)));
  });
  afterEach(async (context) => {
    if (context.task.result?.state === 'fail')
      process.stderr.write(balancer.lines.join('') + (await balancer.config()));
    await balancer.stop();
    await Promise.all(apps.map((app) => app.close()));
  });

  const address = (index: number): string => apps[index]?.address ?? '';
  const instances = (...ids: readonly string[]) =>
    Object.fromEntries(ids.map((id) => [`instances/web/${id}`, address('abcd'.indexOf(id))]));
  const answers = async (): Promise<string[]> => {
    const bodies = new Set<string>();
    for (let i = 0; i < 16; i += 1) bodies.add((await ask(balancer.port, 'web')).body);
    return [...bodies].sort();
  };
  const saying = (fields: object): string => JSON.stringify(fields);
  const lasting = (ms: number, since = Date.now()) => ({
    at: new Date(since).toISOString(),
    until: new Date(since + ms).toISOString(),
  });
  const server = async (id: string) => (await balancer.link.inspect()).servers.get('web')?.get(id);
  const logged = (event: string): LogLine[] =>
    balancer.lines.map((line) => JSON.parse(line) as LogLine).filter((line) => line.event === event);

  test('drains, weighs and puts in maintenance at run time, and the file says the same', async () => {
    balancer.snapshot(instances('a', 'b'));
    await balancer.balancer.start();
    await balancer.applied();

    balancer.change({ 'overrides/web/a': saying({ kind: 'drain', who: 'ada@desk', why: 'new disk' }) });
    await balancer.applied();
    expect(await answers()).toEqual(['b']);
    expect(await server('a')).toMatchObject({ weight: 0, disabled: false });
    expect(logged('override-applied')).toMatchObject([
      { service: 'web', instance: 'a', kind: 'drain', who: 'ada@desk', why: 'new disk', instances: 2, ready: 1 },
    ]);
    await until('the file says so', async () => /server a \S+ weight 0 /.test(await balancer.config()));

    balancer.change({ 'overrides/web/a': saying({ kind: 'maintenance' }) });
    await balancer.applied();
    expect(await server('a')).toMatchObject({ disabled: true });
    await until('the file says so', async () => /server a .*disabled/.test(await balancer.config()));

    balancer.change({ 'overrides/web/a': saying({ kind: 'weight', weight: 7 }) });
    await balancer.applied();
    expect(await server('a')).toMatchObject({ weight: 7, disabled: false });
    expect(await balancer.metric('overrides', { kind: 'weight' })).toBe(1);
    expect(await balancer.metric('overrides', { kind: 'drain' })).toBe(0);

    balancer.change({ 'overrides/web/a': undefined });
    await balancer.applied();
    expect(await server('a')).toMatchObject({ weight: 100, disabled: false });
    expect(await answers()).toEqual(['a', 'b']);
    expect(logged('override-ended').map(({ kind, reason }) => [kind, reason])).toEqual([
      ['drain', 'replaced'],
      ['maintenance', 'replaced'],
      ['weight', 'removed'],
    ]);
    expect(await balancer.metric('reloads_total')).toBe(0);
    expect(await balancer.metric('steps_total', { outcome: 'refused' })).toBe(0);
  });

  test('is there when its instance comes, and outlives a reload', async () => {
    balancer.snapshot({ ...instances('a'), 'overrides/web/b': saying({ kind: 'drain' }) });
    await balancer.balancer.start();
    balancer.change(instances('b'));
    await balancer.applied();
    expect(await server('b')).toMatchObject({ weight: 0 });
    // Another service: one reload.
    balancer.change({ 'instances/api/c': address(2) });
    await balancer.applied();
    expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(1);
    await until('the new worker says so', async () => (await server('b'))?.weight === 0);
    expect(await answers()).toEqual(['a']);
  });

  test('of a whole service takes what it should, and the log warns when nobody is left', async () => {
    balancer.snapshot({ ...instances('a', 'b', 'c'), 'overrides/web/c': saying({ kind: 'weight', weight: 5 }) });
    await balancer.balancer.start();
    balancer.change({ 'overrides/web/*': saying({ kind: 'drain' }) });
    await balancer.applied();
    expect(await answers()).toEqual(['c']);
    balancer.change({ 'overrides/web/c': undefined });
    await balancer.applied();
    expect((await ask(balancer.port, 'web')).status).toBe(503);
    balancer.change({ 'overrides/web/*': saying({ kind: 'maintenance' }) });
    await balancer.applied();
    const warning = logged('override-applied').at(-1);
    // 40 is pino's number for a warning.
    expect(warning).toMatchObject({ level: 40, instances: 3, ready: 0 });
    expect(warning?.msg).toContain('no instance of web is left, so HAProxy answers 503');
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('ends by itself although the registry says nothing', async () => {
    balancer.snapshot(instances('a', 'b'));
    await balancer.balancer.start();
    balancer.change({ 'overrides/web/a': saying({ kind: 'drain', ...lasting(1000) }) });
    await balancer.applied();
    expect(await server('a')).toMatchObject({ weight: 0 });
    expect(balancer.overriding.status(balancer.balancer.status().catalog, () => false)).toMatchObject([
      { service: 'web', instance: 'a', kind: 'drain', endsInMs: expect.any(Number) },
    ]);
    await until('a serves again', async () => (await server('a'))?.weight === 100);
    expect(logged('override-ended')).toMatchObject([{ instance: 'a', reason: 'expired' }]);
    expect(await balancer.metric('overrides')).toBe(0);
    expect(balancer.overriding.status(balancer.balancer.status().catalog, () => false)).toEqual([]);
    // The key goes a little later, with its lease.
    balancer.change({ 'overrides/web/a': undefined });
    await balancer.applied();
    expect(logged('override-ended')).toHaveLength(1);
  });

  test('that is over when it is found is not applied', async () => {
    const past = saying({ kind: 'maintenance', ...lasting(60_000, Date.now() - 120_000) });
    balancer.snapshot({
      ...instances('a', 'b'),
      'overrides/web/a': past,
      'overrides/web/b': saying({ kind: 'drain' }),
    });
    await balancer.balancer.start();
    await balancer.applied();
    expect(await answers()).toEqual(['a']);
    expect(logged('override-applied').map(({ instance }) => instance)).toEqual(['b']);
    expect(logged('override-ended')).toMatchObject([{ instance: 'a', reason: 'expired' }]);
  });

  test('that has just come lasts as long as it was meant to, whatever the clock of the one who said it', async () => {
    balancer.snapshot(instances('a', 'b'));
    await balancer.balancer.start();
    const anHourAgo = Date.now() - 3_600_000;
    balancer.change({ 'overrides/web/a': saying({ kind: 'drain', ...lasting(60_000, anHourAgo) }) });
    await balancer.applied();
    expect(await server('a')).toMatchObject({ weight: 0 });
    expect(logged('override-ended')).toEqual([]);
  });

  test('is never held against: who is taken out may go', async () => {
    balancer.snapshot({
      ...instances('a', 'b', 'c', 'd'),
      'overrides/web/a': saying({ kind: 'drain' }),
      'overrides/web/b': saying({ kind: 'weight', weight: 0 }),
      'overrides/web/c': saying({ kind: 'maintenance' }),
    });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/a': undefined, 'instances/web/b': undefined, 'instances/web/c': undefined });
    await balancer.applied();
    expect(balancer.guarding.holding).toBe(false);
    expect(balancer.balancer.status().catalog.services.get(web)?.instances.size).toBe(1);
  });

  test('takes those that the guard holds out, and gives them another weight', async () => {
    balancer.snapshot({ ...instances('a', 'b', 'c', 'd'), 'overrides/web/c': saying({ kind: 'weight', weight: 9 }) });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/b': undefined, 'instances/web/c': undefined, 'instances/web/d': undefined });
    await balancer.applied();
    expect(balancer.guarding.status()).toMatchObject([{ service: 'web', instances: ['b', 'c', 'd'] }]);
    expect(await server('c')).toMatchObject({ weight: 9 });

    balancer.change({ 'overrides/web/d': saying({ kind: 'weight', weight: 3 }) });
    await balancer.applied();
    expect(await server('d')).toMatchObject({ weight: 3 });
    balancer.change({ 'overrides/web/b': saying({ kind: 'drain' }) });
    await balancer.applied();
    expect(balancer.guarding.status()).toMatchObject([{ instances: ['c', 'd'] }]);
    balancer.change({ 'overrides/web/*': saying({ kind: 'maintenance' }) });
    await balancer.applied();
    // The override of a service does not apply to instances with an override of their own.
    expect(balancer.guarding.status()).toMatchObject([{ instances: ['c', 'd'] }]);
    balancer.change({ 'overrides/web/c': undefined, 'overrides/web/d': undefined });
    await balancer.applied();
    expect(balancer.guarding.holding).toBe(false);
  });
});
