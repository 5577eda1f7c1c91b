import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/process-signal.ts';
import { loadTemplates } from '../../src/render/load-templates.ts';
import { type TemplateRole, templateFiles } from '../../src/render/template.ts';
import { ask, startApp } from '../support/app.ts';
import { haproxyBin, startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

const shipped = join(import.meta.dirname, '../../templates');

/** Own templates: a service is as good as the file that its health check's path names, and an instance as its meta. */
async function startLab(options: Parameters<typeof startBalancer>[0] = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'pm-lab-'));
  const pages = join(folder, 'pages');
  const own = join(folder, 'templates');
  await mkdir(pages);
  await mkdir(own);
  const change = async (role: TemplateRole, edit: (text: string) => string): Promise<void> => {
    const name = templateFiles[role];
    await writeFile(join(own, name), edit(await readFile(join(shipped, name), 'utf8')));
  };
  const page = (name: string) => writeFile(join(pages, name), 'HTTP/1.0 503 x\r\n\r\n');
  await change(
    'policy',
    (text) => `${text.trimEnd()}\n{{#httpCheck}}\n    errorfile 503 ${pages}{{path}}\n{{/httpCheck}}\n\n`,
  );
  await change('server', (text) => `${text.trimEnd()}{{#meta.x}} {{meta.x}}{{/meta.x}}\n`);
  await page('good');
  const apps = await Promise.all(['one', 'two', 'three'].map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await rm(folder, { recursive: true, force: true });
  });
  const [one, two, three] = apps.map(({ address }) => address);
  const start = async (more: Parameters<typeof startBalancer>[0] = {}): Promise<TestBalancer> => {
    const started = await startBalancer({ templates: own, ...options, ...more });
    onTestFailed(() => {
      const lines = started.lines.filter((line) => !line.includes('HAProxy says'));
      process.stderr.write(`${lines.slice(-60).join('')}\n`);
    });
    return started;
  };
  return {
    page,
    removePage: (name: string) => rm(join(pages, name)),
    change,
    one: one ?? '',
    two: two ?? '',
    three: three ?? '',
    /** Has the balancer use the templates as they are now. */
    use: async ({ balancer }: TestBalancer) => balancer.useTemplates(await loadTemplates(shipped, own)),
    start,
    /** A balancer that serves these entries, until the test ends. */
    async startWith(entries: Readonly<Record<string, string>>): Promise<TestBalancer> {
      const balancer = await start();
      onTestFinished(() => balancer.stop());
      balancer.snapshot(entries);
      await balancer.balancer.start();
      return balancer;
    },
  };
}

const policy = (path: string, more: object = {}) => JSON.stringify({ check: { kind: 'http', path }, ...more });

const serves = (balancer: TestBalancer, host: string, body: string) =>
  until(`${host} is served by ${body}`, async () => (await ask(balancer.port, host)).body === body, {
    deadlineMs: 20_000,
  });

const held = ({ balancer }: TestBalancer) =>
  balancer.status().quarantined.map(({ key, serves: what }) => `${key}: ${what}`);

const holds = (balancer: TestBalancer, ...keys: readonly string[]) =>
  until(`${keys.join()} are held`, () => held(balancer).sort().join() === [...keys].sort().join(), {
    deadlineMs: 20_000,
  });

const logged = ({ lines }: TestBalancer, event: string) =>
  lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line['event'] === event);

describe('a service that HAProxy refuses', () => {
  test('keeps its last good form, and everything else goes on', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
      ...{ 'services/api': policy('/good'), 'instances/api/a': lab.two },
    });
    await balancer.applied();
    const config = await balancer.config();

    balancer.change({ 'services/web': policy('/missing', { balance: 'first' }) });
    await holds(balancer, 'services/web: last-good');
    await balancer.applied();
    const [quarantined] = balancer.balancer.status().quarantined;
    expect(quarantined?.reason).toMatch(
      /haproxy\.cfg\.refused:\d+ \(made by .*policy\.mustache:\d+\): HAProxy refuses it: /,
    );
    expect(quarantined?.reason).toContain('/missing');
    expect(await balancer.metric('quarantined_services')).toBe(1);
    expect(await balancer.metric('reload_last_failed')).toBe(0);
    expect(balancer.balancer.status().refused).toBeUndefined();
    expect(await balancer.config()).toBe(config);
    await serves(balancer, 'web', 'one');

    // Its instances come and go without a reload, and others get their policies and are new.
    const reloads = await balancer.metric('reloads_total', { result: 'ok' });
    balancer.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined });
    await balancer.applied();
    await serves(balancer, 'web', 'three');
    expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(reloads);
    balancer.change({ 'services/api': policy('/good', { balance: 'source' }), 'services/new': policy('/good'), 'instances/new/a': lab.one }); // biome-ignore format: one change
    await balancer.applied();
    await serves(balancer, 'new', 'one');
    expect(await balancer.config()).toContain('balance source');
    expect(held(balancer)).toEqual(['services/web: last-good']);

    balancer.change({ 'services/web': policy('/good', { balance: 'first' }) });
    await holds(balancer);
    await balancer.applied();
    expect(await balancer.config()).toContain('balance first');
    expect(await balancer.metric('quarantined_services')).toBe(0);
    expect(logged(balancer, 'quarantined').map(({ key }) => key)).toEqual(['services/web']);
    await until(
      'it is told',
      () =>
        logged(balancer, 'released')
          .map(({ key }) => key)
          .join() === 'services/web',
    );
  });

  test('keeps its routes with it, and loses none while HAProxy is asked', async () => {
    const lab = await startLab();
    const balancer = await lab.start();
    onTestFinished(() => balancer.stop());
    const good = policy('/good', { hosts: ['old.example', 'both.example'] });
    balancer.snapshot({ 'services/web': good, 'instances/web/a': lab.one });
    await balancer.balancer.start();
    await balancer.applied();
    const routes = await balancer.routes();

    const seen = { old: new Set<number>(), both: new Set<number>(), new: new Set<number>() };
    balancer.change({ 'services/web': policy('/missing', { hosts: ['both.example', 'new.example'] }) });
    await until('it is held', async () => {
      for (const [name, answers] of Object.entries(seen)) answers.add((await ask(balancer.port, `${name}.example`)).status);
      return held(balancer).join() === 'services/web: last-good';
    }, { everyMs: 0 }); // biome-ignore format: a line
    await balancer.applied();
    expect(seen).toEqual({ old: new Set([200]), both: new Set([200]), new: new Set([404]) });
    await until('the map is the former one', async () => (await balancer.routes()) === routes);
    await serves(balancer, 'old.example', 'one');
  });

  test('is left out when it is new, and served once it is mended, one of two after the other', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({ 'services/web': policy('/good'), 'instances/web/a': lab.one });
    balancer.change({
      ...{ 'services/x': policy('/missing'), 'instances/x/a': lab.two },
      ...{ 'services/y': policy('/missing/too'), 'instances/y/a': lab.two },
      ...{ 'services/z': policy('/good'), 'instances/z/a': lab.three },
    });
    await holds(balancer, 'services/x: nothing', 'services/y: nothing');
    await serves(balancer, 'z', 'three');
    await serves(balancer, 'web', 'one');
    expect((await ask(balancer.port, 'x')).status).toBe(404);

    balancer.change({ 'services/x': policy('/good') });
    await holds(balancer, 'services/y: nothing');
    await serves(balancer, 'x', 'two');
    balancer.change({ 'services/y': undefined, 'instances/y/a': undefined });
    await holds(balancer);
  });

  test('is taken up by itself when what it needs from outside has come', async () => {
    const lab = await startLab();
    const balancer = await lab.start({ probeMs: 50 });
    onTestFinished(() => balancer.stop());
    balancer.snapshot({ 'services/web': policy('/good'), 'instances/web/a': lab.one });
    await balancer.balancer.start();
    balancer.change({
      ...{ 'services/x': policy('/late'), 'instances/x/a': lab.two },
      ...{ 'services/y': policy('/never'), 'instances/y/a': lab.two },
    });
    await holds(balancer, 'services/x: nothing', 'services/y: nothing');
    await lab.page('late');
    await holds(balancer, 'services/y: nothing');
    await serves(balancer, 'x', 'two');
  });

  test('holds up nobody when it is refused again and again in another way, and is served once it is mended', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
      ...{ 'services/evil': policy('/good'), 'instances/evil/a': lab.two },
    });
    await balancer.applied();
    let n = 0;
    const changing = setInterval(() => {
      n += 1;
      balancer.change({ 'services/evil': policy(`/missing-${n}`) });
    }, 20);
    onTestFinished(() => clearInterval(changing));
    await until('it is refused twice', () => logged(balancer, 'quarantined').length >= 2);
    for (const host of ['one', 'two']) {
      balancer.change({ 'services/web': policy('/good', { hosts: [`${host}.example`], maxconn: n }) });
      await serves(balancer, `${host}.example`, 'one');
    }
    await serves(balancer, 'evil', 'two');
    clearInterval(changing);
    balancer.change({ 'services/evil': policy('/good', { hosts: ['mended.example'] }) });
    await serves(balancer, 'mended.example', 'two');
    expect(held(balancer)).toEqual([]);
  });

  test('is found by halving when HAProxy names nobody, in a dozen checks among a thousand', {
    timeout: 120_000,
  }, async () => {
    const lab = await startLab();
    const wrapper = join(await mkdtemp(join(tmpdir(), 'pm-mute-')), 'haproxy');
    await writeFile(wrapper, `#!/bin/bash
if [ "$1" != -c ]; then exec ${haproxyBin} "$@"; fi
if ${haproxyBin} "$@" >/dev/null 2>&1; then exit 0; fi
echo "[ALERT] (1) : config : something is wrong"
exit 1
`); // biome-ignore format: a script
    await chmod(wrapper, 0o755);
    onTestFinished(() => rm(join(wrapper, '..'), { recursive: true, force: true }));
    const balancer = await lab.start({ executable: wrapper });
    onTestFinished(() => balancer.stop());
    const entries = Array.from({ length: 1000 }, (_, i) => [
      [`instances/s${i}/a`, lab.one],
      [`services/s${i}`, policy('/good', { hosts: [`h${i}.example`] })],
    ]).flat();
    balancer.snapshot({ 'instances/web/a': lab.two });
    await balancer.balancer.start();
    await balancer.applied();
    balancer.change({ ...Object.fromEntries(entries), 'services/s617': policy('/missing') });
    await until('it is held', () => held(balancer).join() === 'services/s617: nothing', { deadlineMs: 60_000 });
    const [found] = logged(balancer, 'culprits-found');
    expect(found?.['checks']).toBeLessThanOrEqual(12);
    await balancer.applied();
    await serves(balancer, 'h999.example', 'one');
    await serves(balancer, 'web', 'two');
  });
});

describe('a policy that a template cannot render', () => {
  // Each space is written with a backslash, so that the section is longer than the value may be.
  const headers = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`X-${i}`, `${'x '.repeat(500)}x`]));
  const tooLong = policy('/good', {
    hosts: ['new.example'],
    headers: { response: { set: headers } },
  });
  // The lab's line of an instance fails only where the policy names a port for checks.
  const failsOnServers = JSON.stringify({ hosts: ['new.example'], check: { kind: 'tcp', port: 1 } });

  test.each([
    { what: 'its section', bad: tooLong, says: /it made \d+ characters, more than 65536/ },
    { what: "its servers' lines", bad: failsOnServers, says: /server\.mustache:\d+.*not safe/ },
  ])('changes no route, rule or server: $what', async ({ bad, says }) => {
    const lab = await startLab();
    await lab.change('server', (text) => `${text.trimEnd()}{{#check.port}} {{meta.y}}{{/check.port}}\n`);
    const first = await lab.start();
    const good = policy('/good', { hosts: ['old.example'] });
    first.snapshot({
      ...{ 'services/web': good, 'instances/web/a': JSON.stringify({ address: lab.one, meta: { y: 'a b' } }) },
      ...{ 'services/api': policy('/good'), 'instances/api/a': lab.two },
    });
    await first.balancer.start();
    await first.applied();
    const [config, routes] = [await first.config(), await first.routes()];

    first.change({ 'services/web': bad });
    await holds(first, 'services/web: last-good');
    await first.applied();
    expect(first.balancer.status().quarantined[0]?.reason).toMatch(says);
    expect([await first.config(), await first.routes()]).toEqual([config, routes]);
    expect((await ask(first.port, 'new.example')).status).toBe(404);
    await serves(first, 'old.example', 'one');
    // A reload for another service brings nothing of it either, and instances come and go as the former policy has them.
    first.change({ 'services/api': policy('/good', { balance: 'first' }), 'instances/web/b': lab.three, 'instances/web/a': undefined }); // biome-ignore format: one change
    await first.applied();
    await serves(first, 'old.example', 'three');
    expect((await ask(first.port, 'new.example')).status).toBe(404);
    await first.stop({ keep: true });

    const second = await lab.start({ dir: first.dir });
    onTestFinished(() => second.stop());
    await second.balancer.start();
    await serves(second, 'old.example', 'three');
    expect([held(second), (await ask(second.port, 'new.example')).status]).toEqual([['services/web: last-good'], 404]);
    second.change({ 'services/web': policy('/good', { hosts: ['new.example'] }) });
    await holds(second);
    await serves(second, 'new.example', 'three');
    expect((await ask(second.port, 'old.example')).status).toBe(404);
  });

  test('leaves a new service out, and holds an instance that cannot be rendered itself alone', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({ 'services/web': policy('/good'), 'instances/web/a': lab.one });
    await balancer.applied();
    balancer.change({
      ...{ 'services/x': tooLong, 'instances/x/a': lab.two },
      ...{ 'services/web': policy('/good', { balance: 'first' }), 'instances/web/a': JSON.stringify({ address: lab.two, meta: { x: 'a b' } }) },
    }); // biome-ignore format: one change
    await holds(balancer, 'services/x: nothing');
    await balancer.applied();
    expect(balancer.balancer.status().rejected).toMatchObject([{ key: 'instances/web/a', lastGoodServes: true }]);
    expect(await balancer.config()).toContain('balance first');
    expect(await balancer.routes()).not.toContain('new.example');
    await serves(balancer, 'web', 'one');
  });

  test('is the template where it fails for all services', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
      ...{ 'services/api': policy('/good'), 'instances/api/a': lab.two },
    });
    await balancer.applied();
    await lab.change('policy', (text) => `${text.trimEnd()}\n${`    # ${'x'.repeat(100)}\n`.repeat(700)}\n`);
    await lab.use(balancer);
    await holds(balancer, 'templates/policy: last-good');
    await balancer.applied();
    await serves(balancer, 'web', 'one');
  });
});

test('an instance that HAProxy refuses is left out alone', async () => {
  const lab = await startLab();
  const balancer = await lab.startWith({ 'instances/web/a': lab.one });
  await balancer.applied();
  const bad = (x: string) => JSON.stringify({ address: lab.two, meta: { x } });
  balancer.change({ 'instances/web/b': bad('frobnicate'), 'instances/web/c': lab.three });
  await holds(balancer, 'instances/web/b: nothing');
  await until('the other is in the file', async () => (await balancer.config()).includes('server c '));
  expect(await balancer.config()).not.toContain('server b ');
  expect(balancer.balancer.status().rejected).toMatchObject([{ key: 'instances/web/b', lastGoodServes: false }]);
  balancer.change({ 'instances/web/b': bad('backup') });
  await holds(balancer);
  await until('it is in the file', async () => /server b .* backup/.test(await balancer.config()));
  expect(balancer.balancer.status().rejected).toEqual([]);
});

test('a file that is gone takes no service out while HAProxy runs, and only its own service when HAProxy starts again', async () => {
  const lab = await startLab();
  await lab.page('short-lived');
  const balancer = await lab.start({ probeMs: 100 });
  onTestFinished(() => balancer.stop());
  balancer.snapshot({
    ...{ 'services/x': policy('/short-lived'), 'instances/x/a': lab.two },
    ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
  });
  await balancer.balancer.start();
  await balancer.applied();
  await lab.removePage('short-lived');
  balancer.change({ 'services/new': policy('/good', { balance: 'first' }), 'instances/new/a': lab.three });
  await until('the reload waits', () => balancer.balancer.status().refused?.includes('short-lived'));
  expect(held(balancer)).toEqual([]);
  await serves(balancer, 'x', 'two');
  balancer.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined });
  await serves(balancer, 'web', 'three');

  const { masterPid = 0, workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
  for (const pid of [masterPid, workerPid]) signal(pid, 'SIGKILL');
  await holds(balancer, 'services/x: nothing');
  await serves(balancer, 'web', 'three');
  await serves(balancer, 'new', 'three');
  await lab.page('short-lived');
  await holds(balancer);
  await serves(balancer, 'x', 'two');
});

describe('a template that HAProxy refuses', () => {
  test.each([
    ['frame', 'option dontlognull'],
    ['policy', 'balance {{balance}}'],
    ['backend', 'backend {{name}} from {{policy}}'],
  ] as const)('%s: the last good one is used, and everything else goes on', async (role, after) => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      'instances/web/a': lab.one,
      'instances/api/a': lab.two,
      'services/api': policy('/good'),
    });
    await balancer.applied();
    const insert = (line: string) => (text: string) => text.replace(after, `${after}\n    ${line}`);
    const broken = insert('frobnicate 1');

    await lab.change(role, broken);
    await lab.use(balancer);
    await holds(balancer, `templates/${role}: last-good`);
    expect(balancer.balancer.status().refused).toMatch(/frobnicate/);
    await until('it is told', async () => (await balancer.metric('reload_last_failed')) === 1);
    expect(logged(balancer, 'config-refused')).toHaveLength(1);
    balancer.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined });
    await serves(balancer, 'web', 'three');
    balancer.change({ 'instances/new/a': lab.one, 'services/api': JSON.stringify({ balance: 'first' }) });
    await serves(balancer, 'new', 'one');
    await balancer.applied();
    expect(await balancer.config()).toContain('balance first');
    expect(await balancer.config()).not.toContain('frobnicate');
    expect(held(balancer)).toEqual([`templates/${role}: last-good`]);

    await lab.change(role, insert('retries 7'));
    await lab.use(balancer);
    await holds(balancer);
    await until('the mended one is used', async () => (await balancer.config()).includes('retries 7'));
    await balancer.applied();
    expect(balancer.balancer.status().refused).toBeUndefined();
    await until('it is well', async () => (await balancer.metric('reload_last_failed')) === 0);
  });
});

describe('a balancer that starts again', () => {
  test.each(['ended', 'was killed'] as const)('after one that %s serves last good forms', async (how) => {
    const lab = await startLab();
    const first = await lab.start();
    first.snapshot({
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
      ...{ 'services/x': policy('/missing'), 'instances/x/a': lab.two },
    });
    await first.balancer.start();
    first.change({ 'services/web': policy('/missing') });
    await holds(first, 'services/web: last-good', 'services/x: nothing');
    await first.applied();
    if (how === 'was killed') {
      // What it had under way is lost with it; HAProxy runs on, and is ended here to be started anew.
      await until('the catalog is saved', async () =>
        (await readFile(first.paths.lastKnown, 'utf8')).includes('/missing'),
      );
      const [saved, quarantine] = [await readFile(first.paths.lastKnown), await readFile(first.paths.quarantine)];
      await first.stop({ keep: true });
      await writeFile(first.paths.lastKnown, saved);
      await writeFile(first.paths.quarantine, quarantine);
    } else await first.stop({ keep: true });

    const second = await lab.start({ dir: first.dir });
    onTestFinished(() => second.stop());
    await second.balancer.start();
    await serves(second, 'web', 'one');
    expect(held(second).sort()).toEqual(['services/web: last-good', 'services/x: nothing']);
    // Held from before, so that the first check passes.
    expect(logged(second, 'culprits-found')).toEqual([]);
    second.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined, 'instances/new/a': lab.two });
    await serves(second, 'web', 'three');
    await serves(second, 'new', 'two');
    second.change({ 'services/web': policy('/good'), 'services/x': policy('/good') });
    await holds(second);
    await serves(second, 'x', 'two');
  });

  test('serves the others when one is bad that was never good', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      ...{ 'services/x': policy('/missing'), 'instances/x/a': lab.two },
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
    });
    await serves(balancer, 'web', 'one');
    expect(held(balancer)).toEqual(['services/x: nothing']);
  });

  test('with a template that became bad meanwhile uses the last good one', async () => {
    const lab = await startLab();
    const first = await lab.start();
    first.snapshot({ 'services/web': policy('/good'), 'instances/web/a': lab.one, 'instances/api/a': lab.two });
    await first.balancer.start();
    await first.applied();
    await first.stop({ keep: true });

    await lab.change('backend', (text) => text.replace('{{policy}}', '{{policy}}\n    frobnicate'));
    const second = await lab.start({ dir: first.dir });
    onTestFinished(() => second.stop());
    await second.balancer.start();
    await serves(second, 'web', 'one');
    await serves(second, 'api', 'two');
    expect(held(second)).toEqual(['templates/backend: last-good']);
  });
});
