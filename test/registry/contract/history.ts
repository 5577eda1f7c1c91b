import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Registry, Session } from '../../../src/registry/registry.ts';
import { until } from '../../support/until.ts';
import { Recorder } from '../recorder.ts';
import type { ContractTree } from './tree.ts';

/** Random histories. */
export function historyContract({ harness }: ContractTree): void {
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
