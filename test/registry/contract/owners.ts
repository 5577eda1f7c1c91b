import { expect, test } from 'vitest';
import type { ContractTree } from './tree.ts';

/** A key has one owner. */
export function ownerContract({ expired, follow, harness, open, openSession, store }: ContractTree): void {
  test('a second owner of a key is refused, and told what the first one put there', async () => {
    const first = openSession();
    await first.session.put('instances/web/web-1', '10.0.0.1:80');
    const second = openSession();
    await expect(second.session.put('instances/web/web-1', '10.0.0.2:80')).rejects.toMatchObject({
      name: 'Fault',
      code: 'key-owned',
      message: expect.stringContaining('10.0.0.1:80'),
    });
    const { entries } = await open().read('instances/');
    expect(entries.map(({ value }) => value)).toEqual(['10.0.0.1:80']);
    // A refused owner holds nothing, so its end takes nothing away.
    await second.session.close();
    expect((await open().read('instances/')).entries).toHaveLength(1);
  });

  test('a second owner that may replace takes the key, and the first one is told and lets go', async () => {
    const recorder = await follow();
    const first = openSession({ ttlMs: harness.ttlMs });
    await first.session.put('instances/web/web-1', '10.0.0.1:80');
    const asked: string[] = [];
    const second = openSession({
      mayReplace: (key, holder) => {
        asked.push(`${key} ${holder}`);
        return true;
      },
    });
    await second.session.put('instances/web/web-1', '10.0.0.2:80');
    expect(asked).toContain('instances/web/web-1 10.0.0.1:80');
    await expired('the first owner is told', () => first.events.some(({ kind }) => kind === 'taken'));
    expect(first.events).toContainEqual({ kind: 'taken', key: 'instances/web/web-1', holder: '10.0.0.2:80' });
    expect(await first.session.remove('instances/web/web-1')).toBeUndefined();
    await first.session.close();
    await recorder.sees('instances/web/web-1', '10.0.0.2:80');
    expect(second.events.filter(({ kind }) => kind === 'taken' || kind === 'restored')).toEqual([]);
  });

  test('a key written by hand is seen, belongs to nobody, and is replaced only by who may', async () => {
    const recorder = await follow();
    await store().writeByHand('instances/web/w1', '127.0.0.1:9001');
    await recorder.sees('instances/web/w1', '127.0.0.1:9001');
    expect(recorder.view.get('instances/web/w1')?.leased).toBe(false);
    await expect(openSession().session.put('instances/web/w1', '127.0.0.1:1')).rejects.toMatchObject({
      code: 'key-owned',
    });
    await openSession({ mayReplace: (_, holder) => holder === '127.0.0.1:9001' }).session.put(
      'instances/web/w1',
      '127.0.0.1:2',
    );
    await recorder.sees('instances/web/w1', '127.0.0.1:2');
    expect(recorder.view.get('instances/web/w1')?.leased).toBe(true);
  });
}
