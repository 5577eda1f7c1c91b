import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { startFiles } from './support/files.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

async function startApps(...names: readonly string[]) {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  return apps;
}

/** A balancer that serves a registered instance (a), one written by hand, a policy, an override and a file of a free value. */
async function startWorld(...more: readonly string[]) {
  const scenario = await startScenario('etcd');
  const { etcd, dir } = scenario;
  if (etcd === undefined) throw new Error('it is etcd');
  const apps = await startApps('a', 'hand', 'out');
  const [a, hand, out] = apps.map(({ address }) => address);
  await writeFile(join(dir, 'title.mustache'), '{{#keys.title}}{{.}}{{/keys.title}}');
  await writeFile(
    join(dir, 'pointsman.yaml'),
    `templates:\n  - src: ${join(dir, 'title.mustache')}\n    dest: ${join(dir, 'title')}\n`,
  );
  await scenario.writeByHand('services/web', '{"hosts":["shop.example"],"balance":"roundrobin"}');
  await scenario.writeByHand('instances/web/hand', hand ?? '');
  await scenario.writeByHand('instances/web/out', out ?? '');
  await scenario.writeByHand('overrides/web/out', '{"kind":"maintenance","who":"ada"}');
  await scenario.writeByHand('keys/title', 'evening');
  const register = scenario.registerMortal('a', a ?? '');
  const balancer = () => scenario.balancer('--config', join(dir, 'pointsman.yaml'), ...more);
  const first = balancer();
  await scenario.serves('shop.example', ['a', 'hand']);
  const title = () => readFile(join(dir, 'title'), 'utf8').catch(() => '');
  await until('the file is made', async () => (await title()) === 'evening');
  const status = async () => JSON.parse((await scenario.askAdmin('/status')).body);
  const heldKeys = async (): Promise<readonly string[]> =>
    (await status()).held.flatMap(({ keys }: { keys: readonly string[] }) => keys).sort();
  return {
    ...scenario,
    etcd,
    apps,
    first,
    register,
    balancer,
    status,
    heldKeys,
    title,
    holds: (...keys: readonly string[]) =>
      until(`just these are held: ${keys}`, async () => (await heldKeys()).join() === keys.join(), {
        deadlineMs: 30_000,
      }),
    release: async (what: string) =>
      expect((await runPointsman(['release', what, '--registry', scenario.location])).code).toBe(0),
    metric: async (area: string) =>
      Number(
        new RegExp(`^pointsman_held_entries\\{area="${area}"\\} (\\d+)$`, 'm').exec(
          (await scenario.askAdmin('/metrics')).body,
        )?.[1],
      ),
  };
}

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

const byHand = ['instances/web/hand', 'instances/web/out', 'keys/title', 'overrides/web/out', 'services/web'];

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

  // Whoever looks is told.
  const see = ['--registry', world.location, '--admin', `127.0.0.1:${world.admin}`];
  const status = await runPointsman(['status', ...see]);
  expect(status.stdout.join('\n')).toMatch(/5 entries are held until released \(pointsman release SERVICE, or --all\)/);
  expect(status.stdout.join('\n')).toContain(`: ${byHand.join(', ')}`);
  const explained = await runPointsman(['explain', 'web/hand', ...see]);
  expect(explained.stdout.join('\n')).toContain('the registry does not have it any more');
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

test('an override that is held is listed, and ended alone', { timeout: 120_000 }, async () => {
  const world = await startWorld();
  const see = ['--registry', world.location, '--admin', `127.0.0.1:${world.admin}`];
  await world.etcd.wipe();
  await world.holds(...byHand);
  const listed = await runPointsman(['overrides', ...see]);
  expect(listed.stdout.join('\n')).toMatch(
    /^web\/out +maintenance +no end +ada +\[held: the registry does not have it\]$/m,
  );
  const undrained = await runPointsman(['undrain', 'web/out', ...see]);
  expect(undrained.stderr.join()).toContain('web/out is not drained: maintenance by ada');

  const cleared = await runPointsman(['clear', 'web/out', ...see]);
  expect({ code: cleared.code, stderr: cleared.stderr }).toEqual({ code: 0, stderr: [] });
  expect(cleared.stdout.join()).toContain('web/out: maintenance by ada is ended; balancers held it');
  await world.holds(...byHand.filter((key) => key !== 'overrides/web/out'));
  await world.serves('shop.example', ['a', 'hand', 'out']);
  expect((await runPointsman(['overrides', ...see])).stdout).toEqual(['nothing is overridden']);
  const again = await runPointsman(['clear', 'web/out', ...see]);
  expect({ code: again.code, stderr: again.stderr.join() }).toEqual({
    code: 1,
    stderr: expect.stringContaining('nothing overrides web/out'),
  });
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
  // What is known is on disk within a second.
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

test('an instance under a lease that is held is let go of when its check fails', { timeout: 120_000 }, async () => {
  const world = await startWorld();
  // Its process dies together with etcd; the application goes on for a while.
  const [member] = world.etcd.members;
  await member?.stop();
  world.register.kill('SIGKILL');
  await world.etcd.wipe();
  await world.holds('instances/web/a', ...byHand);
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  await world.apps[0]?.close();
  await world.holds(...byHand);
  expect(await world.first.logged('entries-let-go')).toMatchObject({ reason: 'check-failed' });
  expect(await world.answers('shop.example')).toEqual(['hand']);
});

test('what is held is let go of after the time that the operator set', { timeout: 120_000 }, async () => {
  const world = await startWorld('--hold-for', '3s');
  await world.etcd.wipe();
  await world.first.logged('entries-held');
  expect(await world.answers('shop.example')).toEqual(['a', 'hand']);
  await world.holds();
  await until('it is gone', async () => (await world.ask('shop.example')).status === 404);
  expect(await world.answers('web')).toEqual(['a']);
});

test('an override that is held is let go of when it ends, also when it ends while nobody balances', {
  timeout: 120_000,
}, async () => {
  const world = await startWorld();
  const drainUntil = (end: number) =>
    JSON.stringify({ kind: 'drain', who: 'ada', at: new Date().toISOString(), until: new Date(end).toISOString() });
  await world.writeByHand('overrides/web/hand', drainUntil(Date.now() + 10_000));
  await world.serves('shop.example', ['a']);
  await world.etcd.wipe();
  await world.holds('instances/web/hand', 'instances/web/out', 'keys/title', 'overrides/web/hand', 'overrides/web/out', 'services/web'); // biome-ignore format: a list
  expect(await world.answers('shop.example')).toEqual(['a']);
  await world.holds(...byHand);
  expect(await world.first.logged('entries-let-go', ({ reason }) => reason === 'override-ended')).toMatchObject({
    keys: ['overrides/web/hand'],
  });
  await world.serves('shop.example', ['a', 'hand']);

  const end = Date.now() + 3000;
  await world.writeByHand('overrides/web/hand', drainUntil(end));
  await world.first.logged('override-applied', ({ instance, kind }) => instance === 'hand' && kind === 'drain');
  await world.etcd.wipe();
  await world.first.logged('entries-held', ({ keys }) => (keys as readonly string[]).includes('overrides/web/hand'));
  world.first.kill('SIGTERM');
  await world.first.ended;
  await until('the drain is over', () => Date.now() > end);
  const second = world.balancer();
  await second.logged('serving');
  await world.holds(...byHand);
  await world.serves('shop.example', ['a', 'hand']);
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

test('everything deleted at once counts where the operator wants it so', { timeout: 60_000 }, async () => {
  const world = await startWorld('--hold-deleted', 'never');
  await world.etcd.ctl('del', '--prefix', '/pointsman/');
  await until('it is gone', async () => (await world.ask('shop.example')).status === 404);
  expect((await world.status()).held).toEqual([]);
});

test('files of a wiped etcd stay as they are, until the values are written again or released', {
  timeout: 120_000,
}, async () => {
  const files = await startFiles('etcd');
  await files.write('t/nginx.mustache', '{{#service.web}}{{#instances}}server {{address}}; {{/instances}}{{/service.web}}{{keys.title}}'); // biome-ignore format: a template
  await files.write('t/foreign.mustache', '{{#keys.web.*}}{{name}}={{value}} {{/keys.web.*}}');
  await files.declare(
    { src: 't/nginx.mustache', dest: 'nginx' },
    { src: 't/foreign.mustache', dest: 'foreign', prefix: '/prod', keys: ['/web'] },
  );
  await files.put(files.own('instances/web/a'), '10.0.0.1:80');
  await files.put(files.own('keys/title'), 'one');
  await files.put('/prod/web/1', '10.0.0.1:80');
  const pointsman = await files.keep();
  await files.becomes('nginx', 'server 10.0.0.1:80; one');
  await files.becomes('foreign', '1=10.0.0.1:80 ');
  await files.etcd?.wipe();
  await until('both trees are held', () => pointsman.log.filter(({ event }) => event === 'entries-held').length === 2, {
    deadlineMs: 30_000,
  });
  await files.put(files.own('keys/title'), 'two');
  await files.becomes('nginx', 'server 10.0.0.1:80; two');
  expect(await files.read('foreign')).toBe('1=10.0.0.1:80 ');
  expect((await runPointsman(['release', '--all', '--registry', files.location])).code).toBe(0);
  await files.becomes('nginx', 'two');
  await files.becomes('foreign', '');
});

test("what is held of another's layout is released as well, by the guard too", { timeout: 120_000 }, async () => {
  const scenario = await startScenario('etcd');
  const { etcd } = scenario;
  const names = ['a', 'b', 'c', 'd', 'e'];
  const apps = await startApps(...names);
  const leases: string[] = [];
  for (const [i, { address }] of apps.entries()) {
    const lease = /lease (\w+)/.exec((await etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
    await etcd?.ctl('put', '--lease', lease, `/backends/web/${names[i]}`, address);
    leases.push(lease);
  }
  const balancer = scenario.balancer('--layout', 'plain');
  await scenario.serves('web', names);
  const status = async () => JSON.parse((await scenario.askAdmin('/status')).body);
  for (const lease of leases) await etcd?.ctl('lease', 'revoke', lease);
  await until('the guard holds them', async () => (await status()).guarded.length > 0, { deadlineMs: 30_000 });
  const guarded = (await status()).guarded[0].instances as readonly string[];
  expect(guarded.length).toBeGreaterThan(2);
  expect((await runPointsman(['release', 'web', '--registry', scenario.location])).code).toBe(0);
  await until('the guard holds nothing', async () => (await status()).guarded.length === 0, { deadlineMs: 30_000 });

  await etcd?.ctl('put', '/backends/web/a', apps[0]?.address ?? '');
  await etcd?.ctl('put', '/backends/shop/b', apps[1]?.address ?? '');
  await scenario.serves('web', ['a']);
  await scenario.serves('shop', ['b']);
  await etcd?.wipe();
  await balancer.logged('entries-held');
  expect(await scenario.answers('web')).toEqual(['a']);
  // Released until it is heard: a word that is said while nobody is connected to the new etcd may be an old one.
  const released = async (what: string, host: string) => {
    expect((await runPointsman(['release', what, '--registry', scenario.location])).code).toBe(0);
    return (await scenario.ask(host)).status === 404;
  };
  await until('web is gone', () => released('web', 'web'), { deadlineMs: 30_000 });
  expect(await scenario.answers('shop')).toEqual(['b']);
  await until('shop is gone', () => released('--all', 'shop'), { deadlineMs: 30_000 });
});

test("`files` of others' trees alone hears what is released", { timeout: 60_000 }, async () => {
  const files = await startFiles('etcd');
  await files.write('t/foreign.mustache', '{{#keys.web.*}}{{name}}={{value}} {{/keys.web.*}}');
  await files.declare({ src: 't/foreign.mustache', dest: 'foreign', prefix: '/prod', keys: ['/web'] });
  await files.put('/prod/web/1', '10.0.0.1:80');
  const pointsman = await files.keep();
  await files.becomes('foreign', '1=10.0.0.1:80 ');
  await files.etcd?.wipe();
  await pointsman.logged('entries-held');
  expect(await files.read('foreign')).toBe('1=10.0.0.1:80 ');
  const released = async () => {
    expect((await runPointsman(['release', '--all', '--registry', files.location])).code).toBe(0);
    return (await files.read('foreign')) === '';
  };
  await until('the file says so', released, { deadlineMs: 30_000 });
});
