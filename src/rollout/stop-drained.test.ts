import { describe, expect, test } from 'vitest';
import { containerOf } from '../../test/support/containers.ts';
import type { Container } from '../engine/container.ts';
import { EngineRefusal } from '../engine/engine-api.ts';
import { Fault } from '../model/fault.ts';
import { stopDrained } from './stop-drained.ts';

const refusal = (status: number) =>
  new EngineRefusal(status, `the engine answered ${status}`, { where: 'e', hint: undefined });
const silence = new Fault('engine', 'connect ENOENT', { where: 'e' });

/** Stops `a`, which the engine answers with `error`, and then with `now` to the question how it is; and `b`, which succeeds. */
async function run(error: Error, now: Partial<Container> | Error | undefined, ending: Error | undefined = undefined) {
  const ended: string[] = [];
  const engine = {
    async stop(id: string) {
      if (id === 'a') throw error;
      return 'stopped' as const;
    },
    async inspect() {
      if (now instanceof Error) throw now;
      return now && containerOf(now);
    },
  };
  const drains = {
    forget: async (of: readonly { readonly name: string }[]) => void ended.push(`forget ${of.map(({ name }) => name)}`),
    async undrain(of: readonly { readonly name: string }[]) {
      ended.push(`undrain ${of.map(({ name }) => name)}`);
      if (ending !== undefined) throw ending;
    },
  };
  const containers = ['a', 'b'].map((name) => ({ id: name, name, services: [], phase: 'running' as const }));
  const [a, b] = await stopDrained(engine, containers, drains);
  expect(b).toEqual({ kind: 'stopped' });
  return { a, ended };
}

describe('the stop of drained containers', () => {
  test('ends the drain of a container that the engine refuses to stop', async () => {
    expect(await run(refusal(403), { phase: 'running' })).toEqual({
      a: { kind: 'runs', because: 'e: the engine answered 403' },
      ended: ['undrain a', 'forget b'],
    });
  });

  test('says when the drain of such a container could not be ended', async () => {
    const { a } = await run(refusal(403), { phase: 'running' }, silence);
    expect(a).toMatchObject({ because: expect.stringContaining('; its drain could not be ended: e: connect ENOENT') });
  });

  test('succeeds when the container does not run although the engine did not answer', async () => {
    expect(await run(silence, { phase: 'over' })).toEqual({ a: { kind: 'stopped' }, ended: ['forget a,b'] });
    expect((await run(silence, undefined)).a).toEqual({ kind: 'stopped' });
  });

  test('keeps a container drained that may be ending', async () => {
    expect(await run(refusal(500), { phase: 'running' })).toMatchObject({
      a: { kind: 'unclear' },
      ended: ['forget b'],
    });
    expect(await run(silence, silence)).toMatchObject({ a: { kind: 'unclear' }, ended: ['forget b'] });
  });

  test('stops nothing of a container that had ended before', async () => {
    const engine = { stop: async () => 'did-not-run' as const, inspect: async () => undefined };
    const forgotten: string[] = [];
    const drains = {
      forget: async (of: readonly { readonly name: string }[]) => void forgotten.push(...of.map(({ name }) => name)),
      undrain: async () => undefined,
    };
    // The engine may have stopped the second one without an answer: the call was repeated then.
    const containers = (['over', 'running'] as const).map((phase) => ({ id: phase, name: phase, services: [], phase }));
    expect(await stopDrained(engine, containers, drains)).toEqual([{ kind: 'not-running' }, { kind: 'stopped' }]);
    expect(forgotten).toEqual(['over', 'running']);
  });
});
