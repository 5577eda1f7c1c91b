import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  catalogKeys,
  createdAt,
  fleetKeys,
  type KeyRange,
  type Registry,
  type Session,
  type SessionEvent,
  type SessionOptions,
} from '../../src/registry/registry.ts';
import { until } from '../support/until.ts';
import { Recorder } from './recorder.ts';

/** One empty tree, and every way to get at it. */
export interface RegistryStore {
  /** A registry that shares nothing with the others but the store: as another process would have it. */
  open(): Registry;
  /** What a person does without pointsman: `etcdctl put`, `echo value > file`. */
  writeByHand(key: string, value: string): Promise<void>;
  /** `etcdctl del`, `rm`. */
  deleteByHand(key: string): Promise<void>;
  /** Removes the store; every registry is closed by then. */
  dispose(): Promise<void>;
}

export type RegistryHarness = {
  newStore(): Promise<RegistryStore>;
  /** The shortest TTL that the registry keeps exactly. etcd's is 2 s with its default election time-out. */
  readonly ttlMs: number;
  /** How many random histories the property runs; each opens four registries. */
  readonly runs?: number;
};

/** What every adapter of the Registry port must keep, on the real thing. */
export function describeRegistryContract(name: string, harness: RegistryHarness): void {
  describe(`the registry contract, kept by ${name}`, () => {
    let store: RegistryStore;
    let opened: { close(): Promise<void> }[] = [];
    let recorders: Recorder[] = [];

    beforeEach(async () => {
      store = await harness.newStore();
    });

    afterEach(async () => {
      const violations = recorders.flatMap((recorder) => recorder.violations);
      await Promise.all(opened.map((one) => one.close()));
      opened = [];
      recorders = [];
      await store.dispose();
      expect(violations).toEqual([]);
    });

    const open = (): Registry => {
      const registry = store.open();
      opened.push(registry);
      return registry;
    };

    const follow = async (registry = open(), range?: KeyRange): Promise<Recorder> => {
      const recorder = new Recorder(registry, range);
      recorders.push(recorder);
      await recorder.started();
      return recorder;
    };

    // Long, so that a machine that is busy for some seconds ends nobody's lease; those that are to end say so.
    const lasting = 20 * harness.ttlMs;
    const openSession = (options: Partial<SessionOptions> = {}, registry = open()) => {
      const events: SessionEvent[] = [];
      const session = registry.openSession({
        ttlMs: lasting,
        mayReplace: () => false,
        ...options,
        onEvent: (event) => {
          events.push(event);
          options.onEvent?.(event);
        },
      });
      return { session, events, registry };
    };

    const expired = (what: string, condition: () => boolean) =>
      until(what, condition, { deadlineMs: 4 * harness.ttlMs + 10_000, everyMs: 5 });

    test('a follower gets what is there, and then every change', async () => {
      const writer = open();
      await writer.write('instances/web/web-1', '127.0.0.1:1');
      await writer.write('services/web', '{}');
      const recorder = await follow();
      expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:1', 'services/web': '{}' });

      await writer.write('instances/web/web-2', '127.0.0.1:2');
      await writer.write('instances/web/web-1', '127.0.0.1:3');
      const last = await writer.remove('services/web');
      await recorder.reached(last ?? 0n);
      expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:3', 'instances/web/web-2': '127.0.0.1:2' });
      expect(recorder.changes.map((change) => change.replace(/^\d+ /, ''))).toEqual([
        'put instances/web/web-2=127.0.0.1:2',
        'put instances/web/web-1=127.0.0.1:3',
        'delete services/web',
      ]);
    });

    test('every follower learns when a key was created, and that it was created again', async () => {
      const writer = open();
      const early = await follow();
      const first = await writer.write('services/web', '{}');
      const api = await writer.write('services/api', '{}');
      await writer.remove('services/api');
      const again = await writer.write('services/api', '{}');
      const last = await writer.write('services/web', '{"maxconn":1}');
      await early.reached(last);
      const late = await follow();
      const { entries } = await open().read('services/');
      for (const known of [early.view.values(), late.view.values(), entries]) {
        const created = [...known].map((entry) => [entry.key, createdAt(entry)]).sort();
        expect(created).toEqual([
          ['services/api', again],
          ['services/web', first],
        ]);
      }
      expect(api).toBeLessThan(again);
    });

    test('an empty tree is a snapshot too', async () => {
      const recorder = await follow();
      expect(recorder.events.filter(({ kind }) => kind === 'snapshot')).toHaveLength(1);
      expect(recorder.values()).toEqual({});
    });

    test('a read sees what was written before it, and only what begins with the prefix', async () => {
      const writer = open();
      await writer.write('instances/web/a', '1');
      await writer.write('instances/web2/a', '2');
      const at = await writer.write('keys/colour', 'blue');
      const { revision, entries } = await open().read('instances/web/');
      expect(entries.map(({ key, value, leased }) => ({ key, value, leased }))).toEqual([
        { key: 'instances/web/a', value: '1', leased: false },
      ]);
      expect(revision).toBeGreaterThanOrEqual(at);
      const all = await open().read('');
      expect(all.entries.map(({ key }) => key).sort()).toEqual(['instances/web/a', 'instances/web2/a', 'keys/colour']);
    });

    test('a follower of a range hears of nothing else, and of that in the same order', async () => {
      const writer = open();
      await writer.write('balancers/lb-0', 'here');
      await writer.write('keys/colour', 'blue');
      const catalog = await follow(open(), catalogKeys);
      const fleet = await follow(open(), fleetKeys);
      const one = await follow(open(), { first: 'instances/web/', end: 'instances/web0' });
      expect(catalog.values()).toEqual({ 'keys/colour': 'blue' });
      expect(fleet.values()).toEqual({ 'balancers/lb-0': 'here' });

      const { session } = openSession();
      await session.put('balancers/lb-1', 'one');
      await session.put('instances/web/a', '127.0.0.1:1');
      await session.put('balancers/lb-1', 'two');
      await session.put('instances/web2/a', '127.0.0.1:2');
      const removed = await session.remove('instances/web/a');
      const left = await session.remove('balancers/lb-1');
      const last = await session.put('overrides/web/*', 'drain');
      await catalog.reached(last);
      await fleet.reached(left ?? last);
      await one.reached(removed ?? last);
      const told = (recorder: Recorder) => recorder.changes.map((change) => change.replace(/^\d+ /, ''));
      expect(told(catalog)).toEqual([
        'put instances/web/a=127.0.0.1:1',
        'put instances/web2/a=127.0.0.1:2',
        'delete instances/web/a',
        'put overrides/web/*=drain',
      ]);
      expect(told(fleet)).toEqual(['put balancers/lb-1=one', 'put balancers/lb-1=two', 'delete balancers/lb-1']);
      expect(told(one)).toEqual(['put instances/web/a=127.0.0.1:1', 'delete instances/web/a']);
    });

    test('what is removed is gone, and removing nothing is no revision', async () => {
      const writer = open();
      await writer.write('keys/a', '1');
      expect(await writer.remove('keys/a')).toBeTypeOf('bigint');
      expect(await writer.remove('keys/a')).toBeUndefined();
      expect((await writer.read('keys/')).entries).toEqual([]);
    });

    test('a key is replaced only by those who know its last change', async () => {
      const writer = open();
      const [first, key] = [await writer.replace('keys/a', '1', undefined), 'keys/a'];
      expect(first).toBeTypeOf('bigint');
      expect(await writer.replace(key, '2', undefined)).toBeUndefined();
      const second = await writer.write(key, '2');
      expect(await writer.replace(key, '3', first)).toBeUndefined();
      expect(await writer.replace(key, undefined, first)).toBeUndefined();
      expect((await writer.read(key)).entries).toMatchObject([{ value: '2', revision: second }]);
      const third = await writer.replace(key, '3', second);
      expect(await writer.replace(key, undefined, third)).toBeTypeOf('bigint');
      expect(await writer.replace(key, '4', third)).toBeUndefined();
      expect((await writer.read(key)).entries).toEqual([]);
    });

    test('a put resolves with the revision under which every follower sees it', async () => {
      const one = await follow();
      const other = await follow();
      const { session } = openSession();
      const put = await session.put('instances/web/web-1', '127.0.0.1:1');
      await one.reached(put);
      await other.reached(put);
      expect(one.view.get('instances/web/web-1')?.revision).toBe(put);
      expect(other.view.get('instances/web/web-1')).toEqual({
        key: 'instances/web/web-1',
        value: '127.0.0.1:1',
        revision: put,
        leased: true,
        lease: expect.any(String),
      });
      const removed = await session.remove('instances/web/web-1');
      expect(removed).toBeGreaterThan(put);
      await one.reached(removed ?? 0n);
      expect(one.changes.at(-1)).toBe(`${removed} delete instances/web/web-1`);
    });

    test('a session that closes takes all its keys with it', async () => {
      const recorder = await follow();
      const { session } = openSession({ ttlMs: 600_000 });
      await session.put('instances/web/web-1', '127.0.0.1:1');
      await session.put('instances/web/web-2', '127.0.0.1:2');
      await recorder.sees('instances/web/web-2', '127.0.0.1:2');
      await session.close();
      await recorder.sees('instances/web/web-1', undefined);
      await recorder.sees('instances/web/web-2', undefined);
      expect((await open().read('')).entries).toEqual([]);
    });

    test('the keys of a process that died vanish after their TTL, and those of a living one stay', async () => {
      const recorder = await follow();
      const dead = openSession({ ttlMs: harness.ttlMs });
      const living = openSession();
      await living.session.put('instances/web/living', '127.0.0.1:2');
      await dead.session.put('instances/web/dead-1', '127.0.0.1:1');
      const last = await dead.session.put('instances/web/dead-2', '127.0.0.1:1');
      await recorder.reached(last);
      // Closing a registry revokes nothing: to the others it looks like kill -9.
      await dead.registry.close();
      expect(Object.keys(recorder.values())).toHaveLength(3);
      await expired('the dead keys are gone', () => recorder.view.size === 1);
      expect(recorder.values()).toEqual({ 'instances/web/living': '127.0.0.1:2' });
      expect(living.events.map(({ kind }) => kind)).toEqual(['granted']);
    });

    test('a value written with a TTL of its own vanishes unless it is written again', async () => {
      const recorder = await follow();
      await open().write('overrides/web/web-1', 'drain', { ttlMs: harness.ttlMs });
      await recorder.sees('overrides/web/web-1', 'drain');
      expect(recorder.view.get('overrides/web/web-1')?.leased).toBe(true);
      await expired('the override is gone', () => recorder.view.size === 0);
    });

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

    test('once the first owner is dead and its lease is over, nobody has to be asked', async () => {
      const recorder = await follow();
      const first = openSession({ ttlMs: harness.ttlMs });
      await recorder.reached(await first.session.put('instances/web/web-1', '10.0.0.1:80'));
      await first.registry.close();
      await expired('the first lease is over', () => recorder.view.size === 0);
      await openSession().session.put('instances/web/web-1', '10.0.0.2:80');
      await recorder.sees('instances/web/web-1', '10.0.0.2:80');
    });

    test('a key written by hand is seen, belongs to nobody, and is replaced only by who may', async () => {
      const recorder = await follow();
      await store.writeByHand('instances/web/w1', '127.0.0.1:9001');
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

    test('a key written by hand a moment ago, while nobody followed, is not overlooked', async () => {
      await store.writeByHand('instances/web/w1', '127.0.0.1:9001');
      await expect(openSession().session.put('instances/web/w1', '127.0.0.1:1')).rejects.toMatchObject({
        code: 'key-owned',
      });
      expect((await open().read('instances/')).entries.map(({ value }) => value)).toEqual(['127.0.0.1:9001']);
    });

    test('a change and a deletion by hand are seen, in order with the others', async () => {
      const recorder = await follow();
      await store.writeByHand('keys/colour', 'blue');
      await recorder.sees('keys/colour', 'blue');
      await store.writeByHand('keys/colour', 'red');
      await recorder.sees('keys/colour', 'red');
      await open().write('keys/colour', 'green');
      await recorder.sees('keys/colour', 'green');
      await store.deleteByHand('keys/colour');
      await recorder.sees('keys/colour', undefined);
      const other = await follow();
      expect(other.revision).toBeGreaterThanOrEqual(recorder.revision);
      expect(other.values()).toEqual({});
    });

    test('a key of a living session that was deleted by hand is restored', async () => {
      const recorder = await follow();
      const { session, events } = openSession({ ttlMs: harness.ttlMs });
      await session.put('instances/web/web-1', '127.0.0.1:1');
      const at = await session.put('instances/web/web-2', '127.0.0.1:2');
      await recorder.reached(at);
      await store.deleteByHand('instances/web/web-1');
      await expired('the key is restored', () => events.some(({ kind }) => kind === 'restored'));
      expect(events).toContainEqual(expect.objectContaining({ kind: 'restored', key: 'instances/web/web-1' }));
      await expired('the follower saw both', () => recorder.revision >= at + 2n);
      expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:1', 'instances/web/web-2': '127.0.0.1:2' });
      expect(recorder.view.get('instances/web/web-1')?.leased).toBe(true);
    });

    test('what a session removed itself is not restored', async () => {
      const recorder = await follow();
      const { session, events } = openSession();
      await session.put('instances/web/web-1', '127.0.0.1:1');
      const removed = await session.remove('instances/web/web-1');
      const other = await session.put('instances/web/web-2', '127.0.0.1:2');
      expect(other).toBeGreaterThan(removed ?? other);
      await recorder.reached(other);
      expect(recorder.values()).toEqual({ 'instances/web/web-2': '127.0.0.1:2' });
      expect(events.map(({ kind }) => kind)).toEqual(['granted']);
    });

    test('one session holds many keys', async () => {
      const recorder = await follow();
      const { session } = openSession();
      const revisions = await Promise.all(
        Array.from({ length: 300 }, (_, index) => session.put(`instances/many/i-${index}`, `127.0.0.1:${index + 1}`)),
      );
      expect(new Set(revisions).size).toBe(300);
      await recorder.reached(latest(revisions));
      expect(recorder.view.size).toBe(300);
      await session.close();
      await until('all are gone', () => recorder.view.size === 0);
    });

    test('a session may change the value of its key', async () => {
      const recorder = await follow();
      const { session, events } = openSession();
      const first = await session.put('instances/web/web-1', 'ready');
      const second = await session.put('instances/web/web-1', 'draining');
      expect(second).toBeGreaterThan(first);
      await recorder.sees('instances/web/web-1', 'draining');
      expect(events.map(({ kind }) => kind)).toEqual(['granted']);
    });

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

    test('an aborted put gives up, and a closed session holds nothing', async () => {
      const { session, registry } = openSession();
      await expect(session.put('keys/a', '1', AbortSignal.abort())).rejects.toThrow();
      await session.close();
      await session.close();
      expect((await registry.read('')).entries).toEqual([]);
    });

    test('a put that is overtaken by the close of its session leaves nothing behind', async () => {
      const recorder = await follow();
      const { session } = openSession({ ttlMs: 600_000 });
      const puts = Array.from({ length: 20 }, (_, n) => session.put(`keys/k-${n}`, 'value').catch(() => 0n));
      await puts[0];
      await session.close();
      await recorder.reached(latest(await Promise.all(puts)));
      await until('all are gone', () => recorder.view.size === 0);
      expect((await open().read('')).entries).toEqual([]);
    });

    test('any history of two writers folds to what a read says, for followers of every age', async () => {
      const key = fc.constantFrom('instances/a/1', 'instances/a/2', 'instances/b/1', 'keys/k');
      const step = fc.record({
        who: fc.nat(1),
        key,
        what: fc.oneof(
          {
            weight: 3,
            arbitrary: fc.record({ kind: fc.constant('write' as const), value: fc.string({ maxLength: 8 }) }),
          },
          {
            weight: 3,
            arbitrary: fc.record({ kind: fc.constant('put' as const), value: fc.string({ maxLength: 8 }) }),
          },
          { weight: 2, arbitrary: fc.constant({ kind: 'remove' as const }) },
          { weight: 1, arbitrary: fc.constant({ kind: 'let-go' as const }) },
          { weight: 1, arbitrary: fc.constant({ kind: 'close' as const }) },
        ),
      });
      const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 12 }), async (rounds) => {
          const own = await harness.newStore();
          const registries = [own.open(), own.open(), own.open()];
          const [one, two, reader] = registries;
          if (one === undefined || two === undefined || reader === undefined) throw new Error('three were opened');
          const early = new Recorder(reader);
          try {
            await early.started();
            const writers = [new Writer(one, harness.ttlMs), new Writer(two, harness.ttlMs)];
            // The steps of a round race each other; rounds follow each other.
            for (const round of rounds) await Promise.all(round.map((s) => writers[s.who]?.do(s.key, s.what)));
            // Sessions put back what another writer removed: the end is when nothing changes any more.
            const late = new Recorder(two);
            await late.started();
            await until('a read and both followers agree', async () => {
              const { revision, entries } = await reader.read('');
              const truth = JSON.stringify(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
              const views = [early, late].map((recorder) => JSON.stringify(recorder.values()));
              return views.every((view) => view === truth) && early.revision === revision;
            });
            expect([...early.violations, ...late.violations]).toEqual([]);
            for (const writer of writers) {
              for (const change of writer.made) expect(early.changes).toContain(change);
            }
          } finally {
            await Promise.all(registries.map((registry) => registry.close()));
            await own.dispose();
          }
        }),
        { numRuns: harness.runs ?? 25, seed, endOnFailure: true },
      );
    });
  });
}

function latest(revisions: readonly bigint[]): bigint {
  return revisions.toSorted((one, other) => Number(one - other)).at(-1) ?? 0n;
}

type Step =
  | { readonly kind: 'write' | 'put'; readonly value: string }
  | { readonly kind: 'remove' | 'let-go' | 'close' };

/** A process that writes, holds and lets go, and notes what it was told to have changed. */
class Writer {
  readonly made: string[] = [];
  readonly #registry: Registry;
  readonly #ttlMs: number;
  #session: Session | undefined;

  constructor(registry: Registry, ttlMs: number) {
    this.#registry = registry;
    this.#ttlMs = ttlMs;
  }

  async do(key: string, step: Step): Promise<void> {
    switch (step.kind) {
      case 'write':
        this.made.push(`${await this.#registry.write(key, step.value)} put ${key}=${step.value}`);
        return;
      case 'put': {
        this.#session ??= this.#registry.openSession({
          ttlMs: 10 * this.#ttlMs,
          mayReplace: () => true,
          onEvent: () => {},
        });
        const session = this.#session;
        try {
          this.made.push(`${await session.put(key, step.value)} put ${key}=${step.value}`);
        } catch (error) {
          // Another step of the round closed it meanwhile.
          if (this.#session === session) throw error;
        }
        return;
      }
      case 'remove': {
        const at = await this.#registry.remove(key);
        if (at !== undefined) this.made.push(`${at} delete ${key}`);
        return;
      }
      case 'let-go': {
        const at = await this.#session?.remove(key).catch(() => undefined);
        if (at !== undefined) this.made.push(`${at} delete ${key}`);
        return;
      }
      case 'close': {
        const session = this.#session;
        this.#session = undefined;
        await session?.close();
      }
    }
  }
}
