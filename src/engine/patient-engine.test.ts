import { describe, expect, test } from 'vitest';
import { Fault } from '../model/fault.ts';
import { EngineRefusal } from './engine-api.ts';
import { PatientEngine, type RepeatableEngine } from './patient-engine.ts';

const silence = new Fault('engine', 'connect ENOENT');
const refusal = (status: number) =>
  new EngineRefusal(status, `the engine answered ${status}`, { where: 'e', hint: undefined });

/** An engine that fails with these errors in turn, and then stops containers. */
function failing(...errors: readonly Error[]) {
  const left = [...errors];
  let calls = 0;
  const never = () => Promise.reject(new Error('not asked for'));
  const engine: RepeatableEngine = {
    location: 'unix:///e',
    ...{ list: never, inspect: never, remove: () => answer(true), stop: () => answer('stopped' as const) },
  };
  const answer = async <T>(value: T): Promise<T> => {
    calls += 1;
    const error = left.shift();
    if (error !== undefined) throw error;
    return value;
  };
  const waits: string[] = [];
  let at = 0;
  const patient = new PatientEngine({
    engine,
    now: () => at,
    async pause(ms) {
      at += ms;
    },
    onWait: (reason) => waits.push(reason),
  });
  return { patient, waits, calls: () => calls };
}

describe('a patient engine', () => {
  test('repeats a call until the engine answers', async () => {
    const { patient, waits } = failing(silence, silence);
    expect(await patient.stop('a')).toBe('stopped');
    expect(waits).toEqual(['connect ENOENT', 'connect ENOENT']);
  });

  test('waits for an engine behind a proxy that says that it does not answer', async () => {
    const { patient } = failing(refusal(503));
    expect(await patient.stop('a')).toBe('stopped');
  });

  test('waits for the end of a removal that the engine has begun by itself', async () => {
    expect(await failing(refusal(409)).patient.remove('a')).toBe(true);
    await expect(failing(refusal(409)).patient.stop('a')).rejects.toThrow('409');
  });

  test('does not repeat what the engine refuses', async () => {
    const { patient, calls } = failing(refusal(403));
    await expect(patient.stop('a')).rejects.toThrow('the engine answered 403');
    expect(calls()).toBe(1);
  });

  test('gives up after 30 s, and then at once until the engine answers again', async () => {
    const { patient, calls } = failing(...Array.from({ length: 62 }, () => silence));
    await expect(patient.stop('a')).rejects.toThrow('ENOENT');
    const before = calls();
    await expect(patient.stop('a')).rejects.toThrow('ENOENT');
    expect(calls()).toBe(before + 1);
    expect(await patient.stop('a')).toBe('stopped');
  });

  test('gives up when its caller does', async () => {
    const { patient, calls } = failing(silence, silence);
    await expect(patient.stop('a', {}, AbortSignal.abort())).rejects.toThrow('ENOENT');
    expect(calls()).toBe(1);
  });
});
