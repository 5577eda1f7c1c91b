import { describe, expect, onTestFinished, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { policy, serves, startLab } from '../support/quarantine-lab.ts';
import { held, holds, logged } from '../support/serving.ts';
import { until } from '../support/until.ts';

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
    { what: 'its section', bad: tooLong, says: /it rendered \d+ characters, more than 65536/ },
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
