import { expect, test } from 'vitest';
import { startFiles } from './support/files.ts';
import { runPointsman } from './support/processes.ts';
import { byHand, startApps, startWorld } from './support/replaced-history.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('an override that is held is listed, and ended alone', { timeout: 120_000 }, async () => {
  const world = await startWorld();
  const see = ['--registry', world.location, '--admin', `127.0.0.1:${world.admin}`];
  await world.etcd.wipe();
  await world.holds(...byHand);
  const listed = await runPointsman(['overrides', ...see]);
  expect(listed.stdout.join('\n')).toMatch(
    /^web\/out +maintenance +no end +ada +\[held: the registry no longer has it\]$/m,
  );
  const undrained = await runPointsman(['undrain', 'web/out', ...see]);
  expect(undrained.stderr.join()).toContain('web/out is not drained: maintenance by ada');

  const cleared = await runPointsman(['clear', 'web/out', ...see]);
  expect({ code: cleared.code, stderr: cleared.stderr }).toEqual({ code: 0, stderr: [] });
  expect(cleared.stdout.join()).toContain('web/out: maintenance by ada is ended; balancers held it');
  await world.holds(...byHand.filter((key) => key !== 'overrides/web/out'));
  await world.serves('shop.example', ['a', 'hand', 'out']);
  expect((await runPointsman(['overrides', ...see])).stdout).toEqual(['no overrides']);
  const again = await runPointsman(['clear', 'web/out', ...see]);
  expect({ code: again.code, stderr: again.stderr.join() }).toEqual({
    code: 1,
    stderr: expect.stringContaining('no override of web/out'),
  });
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
