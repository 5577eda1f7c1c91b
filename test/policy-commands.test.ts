import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { startOnTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';

async function startPolicies() {
  const fleet = await startBalancers('etcd');
  const [a = ''] = await startApps('a');
  await fleet.registry.write('instances/web/a', a);
  const balancer = await fleet.balancerNamed('lb-1');
  await balancer.process.logged('serving');
  const args = (action: string, more: readonly string[]) => [
    ...['policy', action, 'web', ...more],
    ...['--registry', fleet.location],
  ];
  /** An editor that runs this shell script with the file as $1. */
  const editor = async (script: string) => {
    const path = join(fleet.dir, 'editor');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return { VISUAL: '', EDITOR: path, TMPDIR: fleet.dir };
  };
  return {
    ...fleet,
    balancer,
    args,
    editor,
    policy: (action: string, ...more: readonly string[]) => runPointsman(args(action, more)),
    stored: async () => (await fleet.registry.read('services/web')).entries.map(({ value }) => JSON.parse(value))[0],
  };
}

test('policy set, get and delete change one policy, and wait until every balancer serves it', async () => {
  const { policy, stored, balancer, dir } = await startPolicies();
  const set = await policy('set', 'hosts=["shop.test"]', 'timeouts.server=7s', 'maxconn=5');
  expect(set.code).toBe(0);
  expect(set.stdout).toEqual([
    expect.stringMatching(/^services\/web created \(revision \d+\); 1 balancer serves it$/),
    '    + hosts: ["shop.test"]',
    '    + timeouts: {"server":"7s"}',
    '    + maxconn: 5',
  ]);
  expect(await balancer.ask('shop.test')).toMatchObject({ status: 200, body: 'a' });

  expect((await policy('set', 'timeouts.server-', 'maxconn=6')).stdout.slice(1)).toEqual([
    '    - timeouts: {"server":"7s"}',
    '    ~ maxconn: 5 → 6',
  ]);
  expect(await stored()).toEqual({ hosts: ['shop.test'], maxconn: 6 });
  expect((await policy('set', 'maxconn=6')).stdout).toEqual(['services/web is as wanted: nothing was written']);

  expect((await policy('get')).stdout.join('\n')).toBe('services:\n  web:\n    hosts: [shop.test]\n    maxconn: 6');
  expect((await policy('get', '--json')).stdout).toEqual(['{"hosts":["shop.test"],"maxconn":6}']);
  const file = join(dir, 'any.json');
  await writeFile(file, '{"hosts": ["other.test"]}');
  expect((await policy('set', '--file', file)).code).toBe(0);
  expect(await stored()).toEqual({ hosts: ['other.test'] });

  const deleted = await policy('delete');
  expect(deleted.stdout).toEqual([
    expect.stringContaining('services/web deleted'),
    '    - hosts: ["other.test"]',
    'no longer served for web: other.test',
    'web has 1 instance, which HAProxy serves with the default policy, at the host web',
  ]);
  expect((await balancer.ask('other.test')).status).toBe(404);
  expect((await policy('delete')).code).toBe(1);
});

test('policy set --no-wait writes, and says nothing about the balancers', async () => {
  const { location } = await startBalancers('folder');
  const args = (value: string) => ['policy', 'set', 'web', value, '--no-wait', '--registry', location];
  const { stdout } = await runPointsman(args('maxconn=5'));
  expect(stdout).toEqual([expect.stringMatching(/^services\/web created \(revision \d+\)$/), '    + maxconn: 5']);
  const asJson = await runPointsman([...args('maxconn=6'), '--json']);
  expect(JSON.parse(asJson.stdout[0] ?? '{}')).not.toHaveProperty('served');
});

test('policy set refuses what is wrong, and writes nothing', async () => {
  const { policy, stored } = await startPolicies();
  expect(await policy('set', 'hostz=["a"]')).toMatchObject({
    code: 2,
    stderr: [expect.stringContaining('"hostz" is not a field of a policy (did you mean hosts?)')],
  });
  const asJson = await policy('set', 'hostz=["a"]', '--json');
  expect(asJson).toMatchObject({ code: 2, stderr: [] });
  expect(JSON.parse(asJson.stdout[0] ?? '')).toMatchObject({
    key: 'services/web',
    problems: [{ what: expect.stringContaining('"hostz" is not a field of a policy') }],
  });
  expect((await policy('set', 'maxconn=many')).stderr).toEqual([expect.stringContaining('maxconn')]);
  expect((await policy('set', 'timeouts.idle=7s')).code).toBe(2);
  expect((await policy('set')).code).toBe(2);
  expect((await policy('replace')).code).toBe(2);
  expect(await stored()).toBeUndefined();
});

test('policy edit opens the editor again until the policy is right, and shows what is wrong', async () => {
  const { args, editor, policy, stored, dir } = await startPolicies();
  await policy('set', 'maxconn=5');
  const env = await editor(`
cp "$1" ${dir}/shown-$(ls ${dir}/shown-* 2>/dev/null | wc -l)
if grep -q maxcomm "$1"; then sed -i 's/maxcomm/maxconn/' "$1"; else sed -i 's/maxconn: 5/maxcomm: 7/' "$1"; fi`);
  const { code, stdout } = await runPointsman(args('edit', []), { env });
  expect({ code, stdout }).toMatchObject({
    code: 0,
    stdout: [expect.stringContaining('changed'), '    ~ maxconn: 5 → 7'],
  });
  expect(await stored()).toEqual({ maxconn: 7 });
  const again = (await readFile(join(dir, 'shown-1'), 'utf8')).split('\n');
  const wrong = again.findIndex((line) => line.includes('maxcomm: 7')) + 1;
  expect(again.slice(0, 2)).toEqual([
    '#! Nothing was written yet. Correct this, or quit without a change:',
    expect.stringContaining(`#! line ${wrong}, column 5: "maxcomm" is not a field of a policy`),
  ]);

  const unchanged = await runPointsman(args('edit', []), { env: await editor('true') });
  expect(unchanged).toMatchObject({ code: 0, stdout: ['services/web: no change'] });
});

test('policy edit loses no text: of the second of two editors, of an editor that fails, and of one that gives up', async () => {
  const { args, editor, policy, stored, dir } = await startPolicies();
  await policy('set', 'maxconn=5');
  const slow = await editor(
    `sed -i 's/maxconn: 5/maxconn: 7/' "$1"; touch ${dir}/open; while [ -e ${dir}/open ]; do sleep 0.02; done`,
  );
  const editing = startPointsman(args('edit', []), { env: slow });
  await until('the editor is open', () =>
    readFile(join(dir, 'open'), 'utf8').then(
      () => true,
      () => false,
    ),
  );
  await policy('set', 'maxconn=6');
  await rm(join(dir, 'open'));
  expect((await editing.ended).code).toBe(2);
  expect(await stored()).toEqual({ maxconn: 6 });
  const said = editing.stderr.join('\n');
  expect(said).toContain('somebody else changed it while you edited it');
  const [, kept = ''] = /your text is in (\S+);/.exec(said) ?? [];
  expect(await readFile(kept, 'utf8')).toContain('maxconn: 7');

  const wrong = await runPointsman(args('edit', []), {
    env: await editor(`sed -i 's/maxconn/maxcomm/; s/^#! .*/#! seen/' "$1"`),
  });
  expect(wrong.code).toBe(2);
  expect(wrong.stderr.join()).toContain('maxcomm');
  expect((await runPointsman(args('edit', []), { env: await editor('exit 3') })).stderr.join()).toContain(
    'ended with 3',
  );
});

test('policy edit writes nothing for an editor that leaves no file, never writes a right one, or is not there', async () => {
  const { args, editor, policy, stored } = await startPolicies();
  await policy('set', 'maxconn=5', '--no-wait');
  const edit = async (env: Readonly<Record<string, string>>) => {
    const { code, stdout, stderr } = await runPointsman(args('edit', []), { env });
    return { code, stdout, said: stderr.join('\n') };
  };
  const gone = await edit(await editor('rm "$1"'));
  expect(gone).toMatchObject({
    code: 2,
    stdout: [],
    said: expect.stringMatching(/web\.yaml: the file is gone: nothing was written$/),
  });
  const wrong = await edit(await editor('echo "services: {web: {x$(date +%s%N): 1}}" > "$1"'));
  expect(wrong).toMatchObject({ code: 2, stdout: [], said: expect.stringContaining('nothing was written: "x') });
  const none = await edit({ VISUAL: '', EDITOR: '' });
  expect(none).toMatchObject({
    code: 2,
    said: 'pointsman: EDITOR: standard input is no terminal, and no editor is set: nothing was written',
  });
  expect(await stored()).toEqual({ maxconn: 5 });
});

test('policy edit gives the terminal to the editor', async () => {
  const { args, editor, policy, stored } = await startPolicies();
  await policy('set', 'maxconn=5');
  const env = await editor(`read number </dev/tty; sed -i "s/maxconn: 5/maxconn: $number/" "$1"`);
  const terminal = startOnTerminal(args('edit', []), env);
  terminal.type('8\n');
  expect(await terminal.ended).toBe(0);
  expect(await stored()).toEqual({ maxconn: 8 });
});
