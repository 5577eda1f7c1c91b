import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import { sendSigterm, terminateProcess } from './send-sigterm.ts';

const container = containerOf();
const unavailable = async () => {
  throw new Error('the engine does not answer');
};

/** An engine that answers these kills, one call after the other; `startedAt`: the beginning of its present run. */
function engineOf({
  kills,
  startedAt = container.startedAt,
}: {
  kills: readonly (boolean | Error)[];
  startedAt?: string | undefined;
}) {
  const calls: string[] = [];
  const killed = [...kills];
  return {
    calls,
    async kill(id: string, name: string) {
      calls.push(`${name} ${id}`);
      const answer = killed.shift();
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('asked too often');
      return answer;
    },
    async inspect() {
      return containerOf({ startedAt });
    },
  };
}

function send(engine: ReturnType<typeof engineOf>, terminateDirectly = async () => false) {
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => failures.push(error);
  const options = { engine, lastAttempt: new AbortController().signal, terminateDirectly, onFailure };
  return { failures, sent: sendSigterm(container, options) };
}

test('the engine sends SIGTERM', async () => {
  const engine = engineOf({ kills: [true] });
  expect(await send(engine).sent).toBe('engine');
  expect(engine.calls).toEqual([`TERM ${container.id}`]);
});

test('a container that has ended needs none', async () => {
  expect(await send(engineOf({ kills: [false] })).sent).toBe('ended');
});

test('while the engine does not take it, the process gets it directly', async () => {
  const { sent, failures } = send(engineOf({ kills: [] }), async () => true);
  expect(await sent).toBe('directly');
  expect(failures).toEqual([]);
});

test('the engine is asked again, and the failure is told once', async () => {
  const away = new Error('away');
  const engine = engineOf({ kills: [away, away, true] });
  const { sent, failures } = send(engine);
  expect(await sent).toBe('engine');
  expect(failures).toEqual([away]);
});

test('a run that began meanwhile gets no SIGTERM', async () => {
  const engine = engineOf({ kills: [true], startedAt: '2026-01-02T00:00:00Z' });
  expect(await send(engine).sent).toBe('ended');
  expect(engine.calls).toEqual([]);
});

test('the attempts end with the agent', async () => {
  const engine = { kill: unavailable, inspect: unavailable };
  const agent = new AbortController();
  const onFailure = () => agent.abort();
  const options = { engine, lastAttempt: agent.signal, terminateDirectly: async () => false, onFailure };
  expect(await sendSigterm(container, options)).toBe('failed');
});

test('an agent that is about to end makes an attempt', async () => {
  const options = { engine: engineOf({ kills: [true] }), lastAttempt: AbortSignal.abort(), onFailure: () => undefined };
  expect(await sendSigterm(container, { ...options, terminateDirectly: async () => false })).toBe('engine');
});

test('no process is signalled whose control groups do not name the container', async () => {
  const child = spawn('sleep', ['60']);
  onTestFinished(() => void child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  expect(await terminateProcess({ id: 'f'.repeat(64), pid })).toBe(false);
  expect(await terminateProcess({ id: '', pid })).toBe(false);
  expect(await terminateProcess({ id: 'f'.repeat(64), pid: 0 })).toBe(false);
  expect(await readFile(`/proc/${pid}/stat`, 'utf8')).toContain('(sleep)');
});
