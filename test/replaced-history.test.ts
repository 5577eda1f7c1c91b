import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runPointsman } from './support/processes.ts';
import { byHand, startApps, startWorld } from './support/replaced-history.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** Asks without pause until it is ended, and gives how many requests there were and what was not answered well. */
function keepAsking({ ask }: Pick<Awaited<ReturnType<typeof startScenario>>, 'ask'>, names: readonly string[]) {
  let on = true;
  let count = 0;
  const wrong: string[] = [];
  const asking = (async () => {
    while (on) {
      const { status, body } = await ask('shop.example');
      count += 1;
      if (status !== 200 || !names.includes(body)) wrong.push(`${status} ${body}`);
    }
  })();
  return async () => {
    on = false;
    await asking;
    return { count, wrong };
  };
}

test('an etcd that was wiped and started empty drops nothing, and who lives comes back by itself', {
  timeout: 120_000,
}, async () => {
  const world = await startWorld();
  const stop = keepAsking(world, ['a', 'hand']);
  await world.etcd.wipe();
  expect(await world.first.logged('history-replaced')).toMatchObject({ level: 'error', reason: expect.any(String) });
  expect(await world.first.logged('entries-held')).toMatchObject({ level: 'error', kind: 'replaced' });
  // The registered instance has put its key again; nobody does that for the others.
  await world.holds(...byHand);
  expect((await stop()).wrong).toEqual([]);
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  expect(await world.title()).toBe('evening');
  expect(await Promise.all(['instances', 'services', 'overrides', 'keys'].map(world.metric))).toEqual([2, 1, 1, 1]);

  // `status` shows it.
  const see = ['--registry', world.location, '--admin', `127.0.0.1:${world.admin}`];
  const status = await runPointsman(['status', ...see]);
  expect(status.stdout.join('\n')).toMatch(/5 entries are held until released \(pointsman release SERVICE, or --all\)/);
  expect(status.stdout.join('\n')).toContain(`: ${byHand.join(', ')}`);
  const explained = await runPointsman(['explain', 'web/hand', ...see]);
  expect(explained.stdout.join('\n')).toContain('the registry no longer has it');
  const services = JSON.parse((await world.askAdmin('/services')).body);
  expect(services).toMatchObject([{ name: 'web', held: 2 }]);

  // Writing an entry again ends that it is held, and then deleting it counts.
  await world.writeByHand('instances/web/hand', world.apps[1]?.address ?? '');
  await world.holds(...byHand.filter((key) => key !== 'instances/web/hand'));
  await world.etcd.ctl('del', '/pointsman/instances/web/hand');
  await world.serves('shop.example', ['a']);

  await world.release('web');
  await world.holds('keys/title');
  // The hosts of the policy go with the reload that takes its rules away.
  await until('its policy is gone', async () => (await world.ask('shop.example')).status === 404);
  expect(await world.answers('web')).toEqual(['a']);
  await world.release('--all');
  await world.holds();
  await until('the file says so', async () => (await world.title()) === '');
  expect(await Promise.all(['instances', 'services', 'overrides', 'keys'].map(world.metric))).toEqual([0, 0, 0, 0]);
});

test('what a restored etcd does not have is held, and what it has counts as it is there', {
  timeout: 120_000,
}, async () => {
  const world = await startWorld();
  const saved = await world.etcd.snapshot();
  await world.writeByHand('services/later', '{"hosts":["later.example"]}');
  await world.writeByHand('instances/later/one', world.apps[0]?.address ?? '');
  await world.writeByHand('keys/title', 'morning');
  await world.serves('later.example', ['a']);
  const stop = keepAsking(world, ['a', 'hand']);
  await world.etcd.restore(saved);
  await world.holds('instances/later/one', 'services/later');
  expect(await world.answers('later.example')).toEqual(['a']);
  await until('the older value counts', async () => (await world.title()) === 'evening');
  await world.serves('shop.example', ['a', 'hand']);
  expect((await stop()).wrong).toEqual([]);
  await world.release('later');
  await until('it is gone', async () => (await world.ask('later.example')).status === 404);
});

test('a balancer that is restarted while etcd is wiped holds what the one before it knew, and so does the next', {
  timeout: 120_000,
}, async () => {
  const world = await startWorld();
  // The catalog is on disk within a second.
  world.first.kill('SIGTERM');
  await world.first.ended;
  await world.etcd.wipe();
  const second = world.balancer();
  await second.logged('serving');
  await world.holds(...byHand);
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  expect(await world.title()).toBe('evening');
  const since = (await world.status()).held[0].since;
  second.kill('SIGTERM');
  await second.ended;

  const third = world.balancer();
  await third.logged('serving');
  await third.logged('registry-connected');
  await world.holds(...byHand);
  expect((await world.status()).held).toMatchObject([{ since, kind: 'replaced' }]);
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  expect(await world.title()).toBe('evening');
});

test('an instance that is held gives way to the same application under another id', { timeout: 120_000 }, async () => {
  const world = await startWorld();
  await world.etcd.wipe();
  await world.holds(...byHand);
  await world.writeByHand('instances/web/new', world.apps[1]?.address ?? '');
  await world.holds(...byHand.filter((key) => key !== 'instances/web/hand'));
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  const { instancesById } = JSON.parse((await world.askAdmin('/services/web')).body);
  expect(instancesById.map(({ id }: { id: string }) => id)).toEqual(['a', 'new', 'out']);
});

test('everything deleted at once, by mistake, is held', { timeout: 120_000 }, async () => {
  const world = await startWorld();
  const stop = keepAsking(world, ['a', 'hand']);
  await world.etcd.ctl('del', '--prefix', '/pointsman/');
  expect(await world.first.logged('entries-held')).toMatchObject({ kind: 'deleted', count: 6 });
  await world.holds(...byHand);
  expect((await stop()).wrong).toEqual([]);
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  expect(await world.title()).toBe('evening');
  await world.release('--all');
  await until('it is gone', async () => (await world.ask('shop.example')).status === 404);
});

test('a folder registry that is moved while nobody uses it holds nothing; one that is moved while it is used is held', {
  timeout: 120_000,
}, async () => {
  const scenario = await startScenario('folder');
  const [a] = await startApps('a');
  await scenario.writeByHand('services/web', '{"hosts":["shop.example"]}');
  await scenario.writeByHand('instances/web/a', a?.address ?? '');
  const first = scenario.balancer();
  await scenario.serves('shop.example', ['a']);
  const held = async () => JSON.parse((await scenario.askAdmin('/status')).body).held;

  first.kill('SIGUSR2');
  await first.ended;
  const moved = join(scenario.dir, 'moved');
  await rename(join(scenario.dir, 'registry'), moved);
  const second = scenario.balancer('--registry', `dir:${moved}`);
  await second.logged('registry-connected');
  expect(await scenario.answers('shop.example')).toEqual(['a']);
  expect(await held()).toEqual([]);

  await rename(moved, join(scenario.dir, 'moved-again'));
  expect(await second.logged('entries-held')).toMatchObject({ kind: 'replaced', count: 2 });
  expect(await scenario.answers('shop.example')).toEqual(['a']);
});
