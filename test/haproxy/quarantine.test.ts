import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { policy, serves, startLab } from '../support/quarantine-lab.ts';
import { held, holds, logged } from '../support/serving.ts';
import { until } from '../support/until.ts';

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
    const balancer = await lab.start({ retryMs: 50 });
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
