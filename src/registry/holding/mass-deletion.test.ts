import { describe, expect, test } from 'vitest';
import { continued, draining, first, full, none, replaced, Story } from '../../../test/support/holding.ts';

describe('a deletion of everything', () => {
  const everything = Object.fromEntries(Object.keys(full).map((key) => [key, undefined]));

  test('in one revision is held, whole', () => {
    const story = new Story().snapshot(first, full).change(everything);
    expect(story.heldKeys).toEqual(Object.keys(full).sort());
    expect(story.view.get('services/web')?.held).toMatchObject({
      kind: 'deleted',
      reason: '3 of 3 entries of all services were deleted at once',
    });
  });

  test('while the registry was away is held, too', () => {
    expect(new Story().snapshot(first, full).snapshot(continued, {}).heldKeys).toEqual(Object.keys(full).sort());
  });

  test('is not what a list tells of registrations that ended while nobody followed: they may have left one by one', () => {
    const leased = {
      'instances/a/1': { lease: '1' },
      'instances/a/2': { lease: '2' },
      'instances/b/1': { lease: '3' },
    };
    const story = new Story().snapshot(first, { ...leased, 'keys/x': {} }).snapshot(continued, {});
    expect(story.keys).toEqual([]);
    expect(story.transitions).toEqual([]);
  });

  test('one after the other within the window is held, also what was let go already', () => {
    const story = new Story().snapshot(first, {
      'services/a': {},
      'services/b': {},
      'services/c': {},
      'services/d': {},
    });
    for (const key of ['services/a', 'services/b', 'services/c']) story.change({ [key]: undefined });
    expect(story.keys).toEqual(['services/d']);
    story.at(9).change({ 'services/d': undefined });
    expect(story.heldKeys).toEqual(['services/a', 'services/b', 'services/c', 'services/d']);
  });

  test('over a longer time is not', () => {
    const story = new Story().snapshot(first, {
      'services/a': {},
      'services/b': {},
      'services/c': {},
      'services/d': {},
    });
    for (const key of ['services/a', 'services/b', 'services/c']) story.change({ [key]: undefined });
    expect(story.at(10).change({ 'services/d': undefined }).keys).toEqual([]);
  });

  test('of few entries one by one, as somebody does who means them, is not', () => {
    const story = new Story().snapshot(first, { 'services/web': {}, 'instances/web/a': {} });
    expect(story.change({ 'instances/web/a': undefined }).change({ 'services/web': undefined }).keys).toEqual([]);
  });

  test.each([
    ['the end of one lease', { 'instances/web/a': { lease: '1' }, 'instances/web/b': { lease: '1' } }],
    [
      'a graceful leave',
      { 'instances/web/a': { value: draining, lease: '1' }, 'instances/web/b': { value: draining, lease: '2' } },
    ],
  ])('that is %s is for others to judge', (_, entries) => {
    const gone = Object.fromEntries(Object.keys(entries).map((key) => [key, undefined]));
    expect(new Story().snapshot(first, entries).change(gone).keys).toEqual([]);
  });

  test('is held although something is written right after it, and told together with it', () => {
    const story = new Story().snapshot(first, full);
    story.changes(
      { ...none(full) },
      { 'instances/web/b': { lease: '2', value: '10.0.0.2:80' }, 'keys/x': { value: '2' } },
    );
    expect(story.heldKeys).toEqual(
      Object.keys(full)
        .filter((key) => key !== 'keys/x')
        .sort(),
    );
    expect(story.view.get('keys/x')).toMatchObject({ value: '2' });
    expect(story.keys).toContain('instances/web/b');
  });

  test('is held although entries from before are held still', () => {
    const story = new Story()
      .snapshot(first, full)
      .snapshot(replaced, { 'services/web': {}, 'instances/web/b': { value: '10.0.0.2:80' } });
    story.change(none({ 'services/web': {}, 'instances/web/b': {} }));
    expect(story.heldKeys).toEqual([...Object.keys(full), 'instances/web/b'].sort());
  });

  test('of several leases in one revision is no end of a lease', () => {
    const story = new Story().snapshot(first, { 'instances/web/a': { lease: '1' }, 'instances/web/b': { lease: '2' } });
    expect(story.change({ 'instances/web/a': undefined, 'instances/web/b': undefined }).heldKeys).toHaveLength(2);
  });

  test('but for a service that stays, is believed by default', () => {
    const story = new Story().snapshot(first, { ...full, 'services/shop': {} });
    expect(story.change(everything).keys).toEqual(['services/shop']);
  });

  test('beyond the share that the operator set is held', () => {
    const deletions = { allShare: 0.5, serviceShare: undefined, minimum: 4, windowMs: 10 };
    const story = new Story({ deletions }).snapshot(first, { ...full, 'services/shop': {} });
    expect(story.change(everything).heldKeys).toEqual(Object.keys(full).sort());
  });

  test('of one service is held where the operator wants it', () => {
    const deletions = { allShare: undefined, serviceShare: 1, minimum: 4, windowMs: 10 };
    const story = new Story({ deletions }).snapshot(first, { ...full, 'services/shop': {} });
    story.change(everything);
    expect(story.heldKeys).toEqual(['instances/web/a', 'instances/web/hand', 'overrides/web/*', 'services/web']);
    expect(story.keys).not.toContain('keys/x');
  });
});
