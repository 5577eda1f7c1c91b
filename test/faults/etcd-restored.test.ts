import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { catalogKeys, isWithin, type Registry } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const root = '/pointsman/';

/** An etcd with some keys and a snapshot of them, and a follower that begins after some changes and can be cut off. */
async function start(listed: readonly Change[] = []) {
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
  onTestFinished(() => proxy.close());
  const open = (endpoints: readonly string[]): Registry => {
    const registry = openEtcdRegistry({ endpoints, root });
    onTestFinished(() => registry.close());
    return registry;
  };
  const writer = open(etcd.endpoints);
  for (const id of ['x', 'y', 'z']) await writer.write(`instances/web/${id}`, '10.0.0.9:80');
  const file = await etcd.snapshot();
  for (const change of listed) await change(writer);
  const recorder = new Recorder(open([proxy.endpoint]), catalogKeys);
  onTestFailed(() => {
    process.stderr.write(`--- the follower heard\n${recorder.story()}\n`);
  });
  await until('it watches', () => recorder.events.some(({ kind }) => kind === 'connected'));
  const snapshots = () => recorder.events.filter((event) => event.kind === 'snapshot');
  const connected = () => recorder.events.filter(({ kind }) => kind === 'connected').length;
  return {
    etcd,
    writer,
    recorder,
    snapshots,
    /** Changes before the follower is cut off, and after the restore, when it hears nothing. Then it may come back. */
    async histories(before: readonly Change[], after: readonly Change[]): Promise<void> {
      let last = 0n;
      for (const change of before) last = (await change(writer)) ?? last;
      await recorder.reached(last);
      proxy.refuse(true);
      await etcd.restore(file, { sameId: true });
      for (const change of after) await change(writer);
      const were = connected();
      proxy.refuse(false);
      await until('it is back', () => connected() > were);
    },
    async agrees(): Promise<void> {
      const { entries } = await writer.read('');
      const followed = entries.filter(({ key }) => isWithin(catalogKeys, key));
      const expected = Object.fromEntries(followed.map(({ key, value }) => [key, value]).sort());
      await until('it has what etcd has', () => JSON.stringify(recorder.values()) === JSON.stringify(expected));
    },
  };
}

type Change = (writer: Registry) => Promise<bigint | undefined>;

const put =
  (id: string, value = '10.0.0.1:80'): Change =>
  (writer) =>
    writer.write(`instances/web/${id}`, value);
const leased =
  (id: string): Change =>
  (writer) =>
    writer.write(`instances/web/${id}`, '10.0.0.1:80', { ttlMs: 300_000 });
const remove =
  (id: string): Change =>
  (writer) =>
    writer.remove(`instances/web/${id}`);
/** Of what the follower does not follow. */
const outside: Change = async (writer) => {
  await writer.write('balancers/b1', 'x');
  return undefined;
};
const some = (prefix: string, count: number): readonly Change[] =>
  Array.from({ length: count }, (_, i) => put(`${prefix}${i}`));

describe('a cluster that was restored and has overtaken us at the same raft term', () => {
  const cases: readonly (readonly [string, readonly Change[], readonly Change[]])[] = [
    ['with other keys', some('a', 5), some('b', 9)],
    ['with as many changes as before', some('a', 5), some('b', 5)],
    [
      'with the same keys and another value of one',
      [put('a'), put('b', '10.0.0.1:80')],
      [put('a'), put('b', '10.0.0.2:80')],
    ],
    ['with the same last change after others', [put('a'), put('c')], [put('b'), put('c')]],
    ['with the same keys under other leases', [leased('a')], [leased('a')]],
    ['which lacks a deletion', [remove('x')], [put('a'), put('b')]],
    ['which deleted another key', [remove('x')], [remove('y')]],
    ['which deleted other keys and then the same', [remove('x'), remove('z')], [remove('y'), remove('z')]],
    ['which deleted what was put', [put('a'), remove('x')], [put('a'), remove('a')]],
    ['with a key put again', [put('a'), put('a')], [put('a'), put('b')]],
  ];
  test.each(cases)('%s', async (_, before, after) => {
    const { histories, snapshots, recorder, agrees, writer } = await start();
    await histories(before, after);
    await agrees();
    expect(snapshots().at(-1)).toMatchObject({
      history: { kind: 'replaced', reason: expect.stringContaining('restored') },
    });
    await put('later')(writer);
    await agrees();
    expect(recorder.view.has('instances/web/later')).toBe(true);
  });

  const beforeTheList: readonly (readonly [string, readonly Change[], readonly Change[]])[] = [
    ['other keys', some('a', 5), some('b', 9)],
    ['the last of two keys', [put('a'), put('c')], [put('b'), put('c')]],
    ['a deletion', [remove('x')], [outside, outside]],
    ['a deletion, and nothing at all', [remove('x')], []],
    ['a deletion after a key that both put', [put('a'), remove('x')], [put('a'), outside]],
  ];
  test.each(beforeTheList)('after a list that has %s', async (_, listed, after) => {
    const { histories, snapshots, agrees } = await start(listed);
    await histories([], after);
    await agrees();
    expect(snapshots().at(-1)).toMatchObject({ history: { kind: 'replaced' } });
  });
});

describe('a cluster that was restored to what we know', () => {
  test.each<readonly [string, readonly Change[], readonly Change[]]>([
    ['before anything else happened', [], [remove('x'), put('a')]],
    ['and did the same again', [put('a'), remove('x')], [put('a'), remove('x'), put('b')]],
  ])('%s, is gone on with', async (_, before, after) => {
    const { histories, snapshots, agrees, recorder } = await start();
    await histories(before, after);
    await agrees();
    expect(snapshots()).toHaveLength(1);
    expect(recorder.violations).toEqual([]);
  });
});
