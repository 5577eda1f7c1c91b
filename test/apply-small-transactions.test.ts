import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from './support/etcd.ts';
import { runPointsman } from './support/processes.ts';

/** An etcd that takes fewer operations in a transaction than by default. */
async function start() {
  const etcd = await startEtcd(1, { args: ['--max-txn-ops', '16'] });
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
  onTestFinished(async () => {
    await registry.close();
    await etcd.close();
  });
  const file = join(await mkdtemp(join(tmpdir(), 'pm-apply-small-')), 'all.json');
  return {
    async apply(declarations: object, ...more: readonly string[]) {
      await writeFile(file, JSON.stringify(declarations));
      return runPointsman(['apply', '--registry', etcd.location, '--no-wait', ...more, file]);
    },
    async keys(): Promise<readonly string[]> {
      return (await registry.read('')).entries.map(({ key }) => key).sort();
    },
  };
}

const services = (count: number, policy: (index: number) => object) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`s${index}`, policy(index)]));

test('an apply to an etcd with a small --max-txn-ops writes smaller transactions', async () => {
  const { apply, keys } = await start();
  const declarations = { services: services(60, () => ({})), keys: services(60, (index) => ({ size: `${index}` })) };
  const first = await apply(declarations, '--json');
  expect(first).toMatchObject({ code: 0, stderr: [] });
  expect(JSON.parse(first.stdout[0] ?? '').transactions).toBeGreaterThan(8);
  expect(await keys()).toHaveLength(121);
  const emptied = await apply({ keys: { only: 'one' } }, '--prune', '--max-prune', '200');
  expect(emptied).toMatchObject({ code: 0, stderr: [] });
  expect(await keys()).toEqual(['keys/only', 'sets/default/1']);
});

test('and writes nothing, and names the keys, when policies that share a host do not fit into one of them', async () => {
  const { apply, keys } = await start();
  const policies = services(30, (index) => ({ routes: [{ hosts: ['shop.test'], paths: [`/${index}`] }] }));
  const { code, stderr } = await apply({ services: policies });
  expect({ code, keys: await keys() }).toEqual({ code: 1, keys: [] });
  expect(stderr.at(-1)).toMatch(
    /^pointsman: etcd takes 16 operations in a transaction, and services\/s0, .* and 25 more belong into one of 3\d \(start etcd with --max-txn-ops=128/,
  );
});
