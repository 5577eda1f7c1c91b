import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { Fault } from '../model/fault.ts';
import { readService } from '../operate/target.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import type { Registry, RegistryEvent } from '../registry/registry.ts';
import { ContainerPolicies } from './container-policies.ts';

const asked = {
  service: readService('web'),
  policy: '{"hosts":["a.example"]}',
  container: 'web-1',
  created: 1,
  announced: true,
};

/** The policies of an agent whose registry refuses its first reads, `refuses` of them. */
async function start(refuses: number, random: () => number) {
  const path = await mkdtemp(join(tmpdir(), 'pm-'));
  const logger = pino({ level: 'silent' });
  const registry = openDirectoryRegistry({ path, logger });
  let left = refuses;
  const listeners: ((event: RegistryEvent) => void)[] = [];
  const unsafe: Registry = {
    location: registry.location,
    keysAreFiles: true,
    follow: (onEvent, range) => {
      listeners.push(onEvent);
      return registry.follow(onEvent, range);
    },
    async read(...args) {
      if (left === 0) return registry.read(...args);
      left -= 1;
      throw new Fault('registry-unreachable', 'no answer');
    },
    write: (...args) => registry.write(...args),
    replace: (...args) => registry.replace(...args),
    transact: (...args) => registry.transact(...args),
    remove: (...args) => registry.remove(...args),
    openSession: (...args) => registry.openSession(...args),
    close: () => registry.close(),
  };
  const now = () => performance.now();
  const policies = new ContainerPolicies({
    ...{ registry: unsafe, logger, host: 'a', ttlMs: 30_000, graceMs: 3_600_000, now, random },
  });
  onTestFinished(async () => {
    await policies.close();
    await registry.close();
    await rm(path, { recursive: true, force: true });
  });
  policies.update([asked]);
  await until('a write failed', () => policies.state.unwritten !== undefined);
  const isWritten = async () => (await registry.read('services/')).entries.length === 1;
  return { policies, listeners, isWritten };
}

test('policies that could not be written are written seconds later', async () => {
  const { policies, isWritten } = await start(1, () => 0);
  await until('the policy is written', isWritten);
  await until('nothing is unwritten', () => policies.state.unwritten === undefined);
});

test('policies that could not be written are written at once when the registry is connected again', async () => {
  // With these pauses the next attempt would come after an hour.
  const { policies, isWritten, listeners } = await start(1, () => 7200);
  expect(await isWritten()).toBe(false);
  for (const listener of listeners) listener({ kind: 'connected', member: 'm' });
  await until('the policy is written', isWritten);
  await until('nothing is unwritten', () => policies.state.unwritten === undefined);
});
