import { describe, expect, test } from 'vitest';
import { givenMembers, type Member, MemberSource } from './member-source.ts';

/** A source whose searches are answered by hand, and whose clock is moved by hand. */
function sourceByHand() {
  const searches: { found: (...addresses: string[]) => void; failed: (reason: string) => void }[] = [];
  let ms = 0;
  const source = new MemberSource({
    now: () => ms,
    find: () =>
      new Promise<readonly Member[]>((resolve, reject) => {
        searches.push({
          found: (...addresses) => resolve(givenMembers(addresses)),
          failed: (reason) => reject(new Error(reason)),
        });
      }),
  });
  const members = async () => (await source.members()).map(({ address }) => address);
  const later = (by: number) => {
    ms += by;
  };
  return { source, searches, members, later };
}

/** Lets promises that are settled be noticed. */
const noticed = () => new Promise((resolve) => setImmediate(resolve));

describe('the members that are looked up', () => {
  test('are searched once for all who ask together, and rejected with the reason while there are none', async () => {
    const { searches, members } = sourceByHand();
    const both = Promise.allSettled([members(), members()]);
    expect(searches).toHaveLength(1);
    searches[0]?.failed('DNS has no such name');
    expect((await both).map((one) => one.status === 'rejected' && String(one.reason))).toEqual([
      'Error: DNS has no such name',
      'Error: DNS has no such name',
    ]);
    const again = members();
    searches[1]?.found('a', 'b');
    expect(await again).toEqual(['a', 'b']);
  });

  test('are given at once when they are known, and looked for again meanwhile', async () => {
    const { searches, members, later } = sourceByHand();
    const first = members();
    searches[0]?.found('a');
    await first;
    expect(await members()).toEqual(['a']);
    expect(searches).toHaveLength(1);
    later(1000);
    expect(await members()).toEqual(['a']);
    expect(await members()).toEqual(['a']);
    expect(searches).toHaveLength(2);
    searches[1]?.found('b');
    await noticed();
    expect(await members()).toEqual(['b']);
  });

  test('stay as they were while no nameserver answers, which the reason of a failure then says', async () => {
    const { source, searches, members, later } = sourceByHand();
    const first = members();
    searches[0]?.found('a');
    await first;
    later(1000);
    await members();
    searches[1]?.failed('no nameserver answers');
    await noticed();
    expect(await members()).toEqual(['a']);
    expect(source.explain('connection refused')).toBe('connection refused; no nameserver answers');
    searches[2]?.found('a');
    await noticed();
    expect(source.explain('connection refused')).toBe('connection refused');
  });
});
