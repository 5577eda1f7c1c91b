import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type EtcdCluster, startEtcd } from './support/etcd.ts';
import { putBytes } from './support/files.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { endHaproxy, startScenario } from './support/scenario.ts';

const entries = {
  'services/web':
    '{ "hosts": ["shop.example.com", "*.shop.example.com"], "check": {"kind": "http", "path": "/health"} }\n',
  'services/db': '{"mode":"tcp","port":PORT}',
  'services/api': '{"split":{"2":5,"1":95},"headers":{"response":{"set":{"X-B":"1","X-A":"2"}}}}',
  'services/unknown': '{"hostz":[]}',
  'claims/*': '{"priority":5}',
  'instances/web/web-1': '10.0.0.7:8080',
  'instances/web/web-2': '{"address":"10.0.0.8","port":8080,"weight":50}\n',
  'instances/db/db-1': '10.0.0.9:5432',
  'instances/api/a': '{"address":"10.0.0.10:80","version":"1"}',
  'overrides/web/web-2': '{"kind":"weight","weight":10,"who":"ada@desk"}',
  'keys/shop': 'a key that is a folder, too',
  'keys/shop/feature': 'on',
  'keys/shop/lines': 'one\n  two\n',
  'balancers/lb-9': '{}',
  'waits/x': '1',
  'certificates/shop.example.com': '{}',
  'acme/account': '{}',
  'challenges/token': '{}',
} as const;

const wanted = (key: string) => !/^(balancers|waits|releases|sets|certificates|acme|challenges)\//.test(key);

/** What etcd has below the root, without what pointsman writes itself. */
async function treeIn({ location }: EtcdCluster): Promise<Readonly<Record<string, string>>> {
  const range = {
    key: Buffer.from('/pointsman/').toString('base64'),
    range_end: Buffer.from('/pointsman0').toString('base64'),
  };
  const body = JSON.stringify(range);
  const answer = await fetch(`${location.replace('etcd://', 'http://')}/v3/kv/range`, { method: 'POST', body });
  const { kvs = [] } = (await answer.json()) as { kvs?: { key: string; value?: string }[] };
  const texts = kvs.map(({ key, value = '' }): [string, string] => [
    Buffer.from(key, 'base64').toString('latin1').slice('/pointsman/'.length),
    Buffer.from(value, 'base64').toString('latin1'),
  ]);
  return Object.fromEntries(texts.filter(([key]) => wanted(key)));
}

/** Without blanks, which an export does not keep in JSON. */
const meant = (tree: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(tree).map(([key, value]) => [
      key,
      value.trimStart().startsWith('{') && !key.startsWith('keys/') ? JSON.parse(value) : value,
    ]),
  );

test('an export that is applied to an empty etcd makes the same haproxy.cfg, byte for byte', async () => {
  const scenario = await startScenario('etcd');
  const { etcd, dir, balancerDir, location } = scenario;
  if (etcd === undefined) throw new Error('this scenario has an etcd');
  for (const [key, value] of Object.entries(entries)) {
    await scenario.writeByHand(key, value.replace('PORT', String(scenario.admin + 1)));
  }
  await putBytes(location, '/pointsman/keys/bytes', '\xff\x00\xfe');
  const leased = scenario.register('leased', '127.0.0.1:1');
  await leased.logged('announced');

  const files = join(dir, 'declarations');
  const exported = await runPointsman(['export', '--registry', location, '--to', files]);
  expect(exported).toMatchObject({
    code: 0,
    stderr: ['warning: services/unknown: "hostz" is not a field of a policy; it is exported as it is'],
  });
  expect((await readdir(files, { recursive: true })).sort()).toEqual([
    ...['claims.yaml', 'keys.yaml', 'services', 'services/api.yaml', 'services/db.yaml'],
    ...['services/unknown.yaml', 'services/web.yaml'],
  ]);
  leased.kill('SIGTERM');
  await leased.ended;
  await etcd.ctl('del', '/pointsman/services/unknown');
  await rm(join(files, 'services/unknown.yaml'));

  const configOf = async (registry: string) => {
    const args = ['--http', `127.0.0.1:${scenario.http}`, '--admin', `127.0.0.1:${scenario.admin}`, '--id', 'lb'];
    const balancer = startPointsman(['balance', '--registry', registry, '--dir', balancerDir, ...args]);
    await balancer.logged('serving');
    const config = await Promise.all(
      ['haproxy.cfg', 'maps/routes.map'].map((name) => readFile(join(balancerDir, name), 'utf8')),
    );
    balancer.kill('SIGTERM');
    await balancer.ended;
    await endHaproxy(balancerDir);
    await rm(balancerDir, { recursive: true });
    await mkdir(balancerDir);
    return config;
  };
  const before = { tree: await treeIn(etcd), config: await configOf(location) };
  expect(before.config[0]).toContain('10.0.0.8:8080');

  const empty = await startEtcd(1);
  onTestFinished(() => empty.close());
  const applied = await runPointsman(['apply', '--registry', empty.location, '--no-wait', files]);
  expect(applied).toMatchObject({ code: 0 });
  expect(meant(await treeIn(empty))).toEqual(meant(before.tree));
  expect(await configOf(empty.location)).toEqual(before.config);

  // Nothing is left to do, and an export of the copy is the same.
  const again = await runPointsman(['apply', '--registry', empty.location, '--no-wait', '--json', files]);
  expect(JSON.parse(again.stdout[0] ?? '')).toMatchObject({ changes: [] });
  const copy = join(dir, 'copy');
  await runPointsman(['export', '--registry', empty.location, '--to', copy]);
  for (const name of ['claims.yaml', 'keys.yaml', 'services/web.yaml', 'services/api.yaml']) {
    expect(await readFile(join(copy, name), 'utf8')).toBe(await readFile(join(files, name), 'utf8'));
  }
});

test('an export says why it cannot write into a folder', async () => {
  const scenario = await startScenario('folder');
  await scenario.writeByHand('services/web', '{}');
  const file = join(scenario.dir, 'afile');
  await writeFile(file, '');
  const to = async (folder: string) => {
    const { code, stderr } = await runPointsman(['export', '--registry', scenario.location, '--to', folder]);
    return { code, stderr };
  };
  expect(await to(file)).toEqual({ code: 2, stderr: [`pointsman: ${file}: it is a file, not a folder`] });
  expect(await to(join(file, 'below'))).toEqual({
    code: 2,
    stderr: [expect.stringContaining(`${file}/below: the folder cannot be made: `)],
  });
  expect(await to('/proc/none')).toEqual({
    code: 2,
    stderr: [expect.stringContaining('/proc/none: the folder cannot be made: ')],
  });
});

test('an export has only the areas, and only the set, that are asked for', async () => {
  const scenario = await startScenario('folder');
  const at = ['--registry', scenario.location] as const;
  await scenario.writeByHand('services/by-hand', '{}');
  await scenario.writeByHand('other/key', 'x');
  const declarations = join(scenario.dir, 'registry-of-git.yaml');
  await writeFile(declarations, 'services: {web: {}}\nkeys: {a: b}\n');
  expect(await runPointsman(['apply', ...at, '--set', 'shop', '--no-wait', declarations])).toMatchObject({ code: 0 });

  const ofSet = await runPointsman(['export', ...at, '--set', 'shop', '--area', 'services']);
  expect(ofSet).toMatchObject({ code: 0, stderr: [] });
  expect(ofSet.stdout.slice(1)).toEqual(['services:', '  web: {}']);
  const all = await runPointsman(['export', ...at]);
  expect(all.stderr).toEqual(['warning: 1 key is in no area of pointsman, and left out']);
  expect(all.stdout.slice(1)).toEqual(['services:', '  by-hand: {}', '  web: {}', 'keys:', '  a: b']);
  const none = await runPointsman(['export', ...at, '--set', 'shoq']);
  expect(none.code).toBe(2);
  expect(none.stderr).toEqual(['pointsman: --set: no set shoq owns anything (the sets are shop)']);
});
