import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { startApps } from './support/app.ts';
import { haproxyBin } from './support/balancer.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** When the files that matter were written, to see that nothing was. */
async function filesIn(folder: string): Promise<Record<string, number>> {
  const names = ['haproxy.cfg', 'maps/routes.map', 'state/quarantine.json'];
  const times = await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).mtimeMs] as const));
  return Object.fromEntries(times);
}

async function start() {
  const scenario = await startScenario('etcd');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const common = [
    '--registry',
    scenario.location,
    '--dir',
    scenario.balancerDir,
    '--http',
    `127.0.0.1:${scenario.http}`,
  ];
  const render = (...args: readonly string[]) => runPointsman(['render', ...common, ...args]);
  return { scenario, a, b, common, render };
}

test('prints what a balancer would make of the registry, which is a haproxy.cfg', async () => {
  const { scenario, a, render } = await start();
  await scenario.writeByHand('instances/web/bad', 'nonsense');
  const { code, stdout, stderr } = await render();
  expect(code).toBe(0);
  expect(stdout.join('\n')).toMatch(new RegExp(`server a ${a} weight 100 id \\d+ check`));
  expect(stdout.join('\n')).toMatch(/# maps\/routes\.map\n# {3}web\.\*\/ web\n# {3}web\/ web/);
  expect(stderr).toEqual(['warning: instances/web/bad: "nonsense" is not host:port']);

  const out = await mkdtemp(join(tmpdir(), 'pm-render-'));
  onTestFinished(() => rm(out, { recursive: true, force: true }));
  expect((await render('--out', out)).stdout).toEqual(
    ['haproxy.cfg', 'maps/routes.map', 'maps/rates.map'].map((name) => join(out, name)),
  );
  expect(await readFile(join(out, 'maps/routes.map'), 'utf8')).toBe('web.*/ web\nweb/ web\n');
  const config = await readFile(join(out, 'haproxy.cfg'), 'utf8');
  // The files that the configuration names are where a balancer would have them.
  const shipped = join(import.meta.dirname, '../haproxy');
  const here = config
    .replaceAll(join(scenario.balancerDir, 'maps'), join(out, 'maps'))
    .replaceAll(join(scenario.balancerDir, 'shipped'), shipped);
  await writeFile(join(out, 'haproxy.cfg'), here);
  expect((await execa(haproxyBin, ['-c', '-f', join(out, 'haproxy.cfg')])).exitCode).toBe(0);
});

test('shows what would change beside a balancer that runs: commands, reloads with their reasons, and the files', async () => {
  const { scenario, a, b, render } = await start();
  await scenario.balancer().logged('serving');
  await scenario.serves('web', ['a']);
  await until('its file is written', async () =>
    (await readFile(join(scenario.balancerDir, 'haproxy.cfg'), 'utf8')).includes(`server a ${a}`),
  );
  const same = await render('--diff');
  expect({ code: same.code, stdout: same.stdout }).toEqual({ code: 0, stdout: [expect.stringMatching(/^revision \d+: no command, no reload$/)] }); // biome-ignore format: one line

  // Its balancer is paused, so to say: the registry is another one that holds more.
  const other = join(scenario.dir, 'other');
  await mkdir(join(other, 'instances/web'), { recursive: true });
  await mkdir(join(other, 'services'));
  await writeFile(join(other, 'instances/web/b'), b);
  await writeFile(join(other, 'services/web'), '{"balance":"random"}');
  const before = await filesIn(scenario.balancerDir);
  const { stdout } = await render('--registry', `dir:${other}`, '--diff');
  const text = stdout.join('\n');
  expect(text).toMatch(/^revision \d+: 2 commands, a reload\n/);
  expect(text).toContain(`  add server web/b ${b} weight 100`);
  expect(text).toContain('  set server web/a state maint');
  expect(text).toContain('  reload: the settings of service web changed');
  expect(text).toMatch(/^\+ {4}balance random$/m);
  expect(text).toMatch(new RegExp(`^- {4}server a ${a}`, 'm'));
  const json = JSON.parse((await render('--registry', `dir:${other}`, '--diff', '--json')).stdout.join(''));
  expect(json).toMatchObject({ reload: ['the settings of service web changed'], steps: { length: 2 } });
  expect(await filesIn(scenario.balancerDir)).toEqual(before);
  expect(await scenario.answers('web')).toEqual(['a']);
});

test('shows what the balancer of --dir holds, if it is of this registry, running or not', {
  timeout: 120_000,
}, async () => {
  const { scenario, a, b, render, common } = await start();
  await scenario.writeByHand('services/web', '{"balance":"random"}');
  const balancer = scenario.balancer();
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  await until('all of it is saved', async () =>
    (await readFile(join(scenario.balancerDir, 'state/catalog.json'), 'utf8')).includes('random'),
  );
  await scenario.etcd?.wipe();
  await balancer.logged('entries-held');
  await until('what is held is saved', async () =>
    (await readFile(join(scenario.balancerDir, 'state/catalog.json'), 'utf8')).includes('"kind":"replaced"'),
  );
  const expectNothing = async (shown: { readonly stdout: readonly string[]; readonly stderr: readonly string[] }) => {
    expect(shown.stdout.join('\n')).toMatch(/^revision \d+: no command, no reload$/);
    expect(shown.stderr).toEqual([
      'warning: 2 entries are held that the registry no longer has (pointsman release SERVICE, or --all)',
    ]);
  };
  await expectNothing(await render('--diff'));
  // Known by another address, it is the same cluster.
  const port = scenario.etcd?.members[0]?.clientPort;
  await expectNothing(await render('--registry', `etcd://localhost:${port}`, '--diff'));

  const watching = startPointsman(['balance', ...common, '--dry-run']);
  await watching.printed('no command, no reload');
  await scenario.writeByHand('instances/web/b', b);
  await watching.printed(`add server web/b ${b}`);
  expect((await runPointsman(['release', 'web', '--registry', scenario.location])).code).toBe(0);
  await watching.printed('set server web/a state maint');
  await until('nothing is held', async () => JSON.parse((await scenario.askAdmin('/status')).body).held.length === 0);
  // A balancer that ends in the middle of a reload leaves the file as it was.
  await balancer.logged('reloaded');

  // Wiped while no balancer runs: the next one would hold it.
  await scenario.writeByHand('instances/web/a', a);
  await scenario.serves('web', ['a', 'b']);
  balancer.kill('SIGTERM');
  await balancer.ended;
  await scenario.etcd?.wipe();
  await expectNothing(await render('--diff'));
  const { stdout, stderr } = await render('--root', '/other/', '--diff');
  expect(stdout.join('\n')).toContain('set server web/a state maint');
  expect(stderr).toEqual([]);
});

test('announces no change for a malformed entry, of which a balancer goes on using what the key held before', async () => {
  const { scenario, a, render } = await start();
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'random' }));
  const balancer = scenario.balancer();
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'random', hostz: 1 }));
  await scenario.writeByHand('instances/web/a', `${a}0nonsense`);
  const { stdout, stderr } = await until('the balancer wrote what it knows', async () => {
    const shown = await render('--diff');
    return shown.stdout.some((line) => line.endsWith('no command, no reload')) && shown;
  });
  expect(stdout).toHaveLength(1);
  expect(stderr.join()).toContain('services/web: "hostz" is not a field of a policy');
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
});

test.each([
  ['render', '--watch'],
  ['balance', '--dry-run'],
])('%s %s says of each change what would be done, and does nothing', async (command, flag) => {
  const { scenario, b, common } = await start();
  const watching = startPointsman([command, ...common, flag]);
  await watching.printed('HAProxy starts');
  await scenario.writeByHand('instances/web/b', b);
  await watching.printed(`add server web/b ${b}`);
  await scenario.etcd?.ctl('del', '/pointsman/instances/web/a');
  await watching.printed('set server web/a state maint');
  watching.kill('SIGTERM');
  expect(await watching.ended).toEqual({ code: 0, signal: null });
  await expect(stat(scenario.balancerDir)).rejects.toThrow('ENOENT');
});

test('says why it cannot render', async () => {
  const { stderr, code } = await runPointsman(['render', '--diff', '--out', '/nowhere']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: ['pointsman: --diff: it cannot be used with --out'] });
});
