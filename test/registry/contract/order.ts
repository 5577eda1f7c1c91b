import { expect, test } from 'vitest';
import { type ContractTree, latest } from './tree.ts';

/** All followers see one order of changes. */
export function orderContract({ follow, open, openSession }: ContractTree): void {
  test('many writers at once get one order, and all followers see it alike', async () => {
    const followers = [await follow(), await follow()];
    const revisions = await Promise.all(
      Array.from({ length: 6 }, async (_, writer) => {
        const registry = open();
        const made: bigint[] = [];
        for (let n = 0; n < 15; n += 1) {
          made.push(await registry.write(`keys/${n % 3 === 0 ? 'shared' : `own-${writer}`}`, `${writer}-${n}`));
        }
        expect(made).toEqual([...made].sort((a, b) => (a < b ? -1 : 1)));
        return made;
      }),
    );
    const all = revisions.flat();
    expect(new Set(all).size).toBe(all.length);
    const last = latest(all);
    for (const follower of followers) await follower.reached(last);
    expect(followers[0]?.changes).toEqual(followers[1]?.changes);
    expect(followers[0]?.changes).toHaveLength(all.length);
  });

  test('unusual names that are legal in HAProxy are kept to the letter', async () => {
    const recorder = await follow();
    const keys = [
      'instances/a.b_c-d/10.0.0.1:80',
      'instances/a.b_c-d/x..y',
      'instances/A/a:b:c',
      'instances/a/a',
      'overrides/web/*',
      'keys/a/b/c/d',
    ];
    const { session } = openSession();
    for (const key of keys) await session.put(key, `value of ${key}\nwith "quotes", ünïcode and a line`);
    for (const key of keys) await recorder.sees(key, `value of ${key}\nwith "quotes", ünïcode and a line`);
    expect((await open().read('')).entries.map(({ key }) => key).sort()).toEqual([...keys].sort());
  });

  test('no event is delivered after close, though changes go on', async () => {
    const registry = open();
    const writer = open();
    const closed = await follow(registry);
    const witness = await follow();
    const writes = Array.from({ length: 20 }, (_, n) => writer.write('keys/busy', String(n)));
    await writes[3];
    const closing = closed.close();
    const told = closed.events.length;
    await closing;
    await witness.reached(latest(await Promise.all(writes)));
    expect(closed.events).toHaveLength(told);
  });
}
