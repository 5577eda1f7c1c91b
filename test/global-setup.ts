import { setTimeout as pause } from 'node:timers/promises';
import { build } from '../scripts/build.mjs';
import { signal } from '../src/haproxy/processes.ts';
import { leftBehind, markProcesses } from './left-behind.ts';

/** Scenario tests start bin/pointsman: it is built from the sources, once for all projects, also when only one file is run. */
export async function setup(): Promise<void> {
  if (markProcesses()) await build();
}

/** Fails the run when a test has left a process behind. */
export async function teardown(): Promise<void> {
  for (let waited = 0; leftBehind().length > 0 && waited < 10_000; waited += 100) await pause(100);
  const left = leftBehind();
  if (left.length === 0) return;
  for (const { pid } of left) signal(pid, 'SIGKILL');
  throw new Error(`left behind by the tests:\n${left.map(({ pid, command }) => `${pid} ${command}`).join('\n')}`);
}
