import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { continued, draining, first, full, type Put, policy, replaced, Story } from '../../../test/support/holding.ts';
import { revision } from '../../model/revision.ts';
import type { Entry } from '../registry.ts';
import { letGo, nextEnd, passTime, releaseHeld, resumeHolding } from './holding.ts';

describe('a history that was replaced', () => {
  test('drops nothing: what it does not have is held, whatever it is', () => {
    const story = new Story().snapshot(first, full).snapshot(replaced, {});
    expect(story.keys).toEqual(Object.keys(full).sort());
    expect(story.heldKeys).toEqual(story.keys);
    expect(story.transitions).toEqual(['replaced', `held ${Object.keys(full).sort()} (replaced)`]);
    expect(story.view.get('instances/web/a')).toMatchObject({
      leased: true,
      held: { kind: 'replaced', reason: 'data was restored', at: 1000, until: undefined },
    });
  });

  test('does not hold acknowledgements, passing words, nor an instance that had said that it leaves', () => {
    const story = new Story()
      .snapshot(first, {
        'releases/web': { lease: '1' },
        'waits/1': { lease: '2' },
        'instances/web/leaving': { lease: '3', value: draining },
        'instances/web/by-hand': { value: draining },
      })
      .snapshot(replaced, {});
    expect(story.keys).toEqual(['instances/web/by-hand']);
  });

  test('what it has counts as it is there', () => {
    const story = new Story()
      .snapshot(first, full)
      .snapshot(replaced, { 'services/web': { value: '{"mode":"http"}' } });
    expect(story.view.get('services/web')?.value).toBe('{"mode":"http"}');
    expect(story.heldKeys).not.toContain('services/web');
  });

  test('what is written again is not held any more, and then a deletion of it counts', () => {
    const story = new Story()
      .snapshot(first, full)
      .snapshot(replaced, {})
      .change({ 'instances/web/a': { lease: '9' } });
    expect(story.heldKeys).not.toContain('instances/web/a');
    story.change({ 'instances/web/a': undefined });
    expect(story.keys).not.toContain('instances/web/a');
    expect(story.transitions.slice(2)).toEqual(['let go instances/web/a (returned)']);
  });

  test('what is held stays so through another replacement and through a list of the same history', () => {
    const story = new Story().snapshot(first, full).snapshot(replaced, {});
    const before = story.view.get('keys/x')?.held;
    story.at(5).snapshot(continued, { 'keys/y': {} }).snapshot(replaced, {});
    expect(story.view.get('keys/x')?.held).toBe(before);
    expect(story.heldKeys).toEqual([...Object.keys(full), 'keys/y'].sort());
    story.snapshot(continued, { 'keys/x': { value: '2' } });
    expect(story.view.get('keys/x')).toMatchObject({ value: '2' });
    expect(story.heldKeys).not.toContain('keys/x');
  });

  test('a list of the same history deletes what it does not have', () => {
    const story = new Story().snapshot(first, full).snapshot(continued, { 'services/web': {} });
    expect(story.keys).toEqual(['services/web']);
  });
});

describe('an application that registers again under another id', () => {
  const at = (address: string) => ({ lease: '9', value: address });
  const known = { 'instances/web/a': at('10.0.0.1:80'), 'instances/web/b': at('10.0.0.2:80'), 'instances/shop/a': at('10.0.0.1:80') }; // biome-ignore format: a table

  test('takes the place of the instance of the same address and service that is held', () => {
    const story = new Story().snapshot(first, known).snapshot(replaced, {});
    story.change({ 'instances/web/new': at('10.0.0.1:80') });
    expect(story.keys).toEqual(['instances/shop/a', 'instances/web/b', 'instances/web/new']);
    expect(story.transitions.at(-1)).toBe('let go instances/web/a (returned-under-another-id)');
    story.change({ 'instances/web/other': at('10.0.0.3:80') });
    expect(story.heldKeys).toEqual(['instances/shop/a', 'instances/web/b']);
  });

  test('is known by its address, not by what else it says', () => {
    const story = new Story().snapshot(first, known).snapshot(replaced, {});
    story.change({ 'instances/web/new': at('{"address":"10.0.0.2","port":80,"weight":7,"owner":"o"}') });
    expect(story.heldKeys).toEqual(['instances/shop/a', 'instances/web/a']);
  });

  test('takes its place in a list as well, and when it was there before this process', () => {
    const story = new Story().snapshot(first, known).snapshot(replaced, { 'instances/web/new': at('10.0.0.1:80') });
    expect(story.keys).toEqual(['instances/shop/a', 'instances/web/b', 'instances/web/new']);
    const held = story.holding.held.valueSeq().toArray();
    const later = new Story();
    later.step({
      holding: resumeHolding(policy, { cluster: 'c', revision: revision(20n) }, held),
      event: undefined,
      transitions: [],
    });
    later.snapshot(first, { 'instances/web/newer': at('10.0.0.2:80') }, 'c', 21n);
    expect(later.keys).toEqual(['instances/shop/a', 'instances/web/newer']);
  });

  test('does not touch what is not held', () => {
    const story = new Story().snapshot(first, known).change({ 'instances/web/new': at('10.0.0.1:80') });
    expect(story.keys).toHaveLength(4);
  });
});

describe('what is held is let go of', () => {
  const held = () => new Story().snapshot(first, { ...full, 'services/shop': {} }).snapshot(replaced, {});

  test('for one service', () => {
    const story = held();
    story.step(releaseHeld(story.holding, 'web' as never));
    expect(story.keys).toEqual(['keys/x', 'services/shop']);
  });

  test('for everything', () => {
    const story = held();
    story.step(releaseHeld(story.holding, '*'));
    expect(story.keys).toEqual([]);
    expect(story.holding.held.size).toBe(0);
  });

  test('by the word of an operator in the registry', () => {
    expect(held().change({ 'releases/web': { lease: '7' } }).heldKeys).toEqual(['keys/x', 'services/shop']);
    expect(held().change({ 'releases/*': { lease: '7' } }).heldKeys).toEqual([]);
  });

  test('when its check fails', () => {
    const story = held();
    story.step(letGo(story.holding, ['instances/web/a', 'instances/web/unknown'], 'check-failed'));
    expect(story.keys).not.toContain('instances/web/a');
    expect(story.transitions.at(-1)).toBe('let go instances/web/a (check-failed)');
  });

  test('when its time is up, and not before', () => {
    const story = new Story({ holdMs: 100 }).snapshot(first, full).at(50).snapshot(replaced, {});
    expect(nextEnd(story.holding)).toBe(150);
    story.step(passTime(story.holding, 149));
    expect(story.heldKeys).toHaveLength(5);
    story.step(passTime(story.holding, 150));
    expect(story.keys).toEqual([]);
    expect(nextEnd(story.holding)).toBeUndefined();
  });
});

describe('a process that begins', () => {
  const known = { cluster: 'c', revision: revision(100n) };
  const entry = (key: string): Entry => ({ key, value: '{}', revision: revision(7n), leased: false });

  test.each([
    ['another cluster', 'other', 200n],
    ['an earlier revision', 'c', 99n],
  ])('holds what the one before it knew when it meets %s', (_, cluster, at) => {
    const story = new Story();
    story.holding = resumeHolding(policy, known, [entry('services/a'), entry('services/b')]);
    story.snapshot(first, { 'services/b': {} }, cluster, at);
    expect(story.heldKeys).toEqual(['services/a']);
  });

  test('takes a later revision of the same cluster as it is', () => {
    const story = new Story();
    story.holding = resumeHolding(policy, known, [entry('services/a'), entry('services/b')]);
    story.snapshot(first, { 'services/b': {} }, 'c', 100n);
    expect(story.keys).toEqual(['services/b']);
  });
});

test('whatever happens, what is told is the registry and what is held, and never less than the registry', () => {
  const key = fc.constantFrom('services/a', 'services/b', 'instances/a/1', 'instances/a/2', 'overrides/a/*', 'keys/x');
  const put = fc.record({
    value: fc.constantFrom('10.0.0.1:80', draining),
    lease: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
  });
  const toPut = ({ value, lease }: { value: string; lease: string | undefined }): Put => ({
    value,
    ...(lease === undefined ? {} : { lease }),
  });
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('change' as const),
      changes: fc.dictionary(key, fc.option(put, { nil: undefined }), { minKeys: 1 }),
    }),
    fc.record({
      kind: fc.constant('snapshot' as const),
      history: fc.constantFrom(continued, replaced),
      entries: fc.dictionary(key, put),
    }),
    fc.record({ kind: fc.constant('release' as const), release: fc.constantFrom('*' as const, 'a' as never) }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.option(fc.nat(50), { nil: undefined }), (steps, holdMs) => {
      const story = new Story({ holdMs });
      const registry = new Map<string, Put>();
      let now = 0;
      story.snapshot(first, {});
      for (const one of steps) {
        if (one.kind === 'snapshot') {
          registry.clear();
          const entries = Object.fromEntries(Object.entries(one.entries).map(([name, p]) => [name, toPut(p)]));
          for (const [name, p] of Object.entries(entries)) registry.set(name, p);
          story.snapshot(one.history, entries);
        } else if (one.kind === 'change') {
          const changes: Record<string, Put | undefined> = {};
          for (const [name, p] of Object.entries(one.changes)) {
            // A registry says that a key was deleted only where it was there.
            if (p === undefined && !registry.has(name)) continue;
            changes[name] = p && toPut(p);
            if (p === undefined) registry.delete(name);
            else registry.set(name, toPut(p));
          }
          if (Object.keys(changes).length > 0) story.change(changes);
        } else if (one.kind === 'release') story.step(releaseHeld(story.holding, one.release));
        else {
          now += one.ms;
          story.at(now).step(passTime(story.holding, now));
        }
        expect(story.view).toEqual(new Map(story.holding.entries));
        for (const [name, p] of registry) expect(story.view.get(name)?.value).toBe(p.value);
        expect(story.heldKeys).toEqual(story.keys.filter((name) => !registry.has(name)));
        expect([...story.holding.held.keys()].sort()).toEqual(story.heldKeys);
        const parts = [...registry.keys()].filter((name) => /^(instances|services)/.test(name)).length;
        expect(story.holding.sizes.get('') ?? 0).toBe(parts);
      }
    }),
  );
});
