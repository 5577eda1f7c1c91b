import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import { type InstanceId, parseInstanceId } from '../model/name.ts';
import { readService } from '../operate/target.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import type { Registry } from '../registry/registry.ts';
import { Drains } from './drains.ts';

const service = readService('web');
const idOf = (text: string): InstanceId => {
  const id = parseInstanceId(text);
  if (!id.ok) throw new Error(id.reason);
  return id.value;
};
const [a, b] = [
  { service, id: idOf('a') },
  { service, id: idOf('b') },
];

/** Drains in a registry that does not answer to some writes, although it makes them, while `isSilent` says so. */
async function open(isSilent: (call: 'write' | 'replace', key: string) => boolean) {
  const path = await mkdtemp(join(tmpdir(), 'pm-'));
  const registry = openDirectoryRegistry({ path, logger: pino({ level: 'silent' }) });
  const silent =
    (call: 'write' | 'replace') =>
    async (key: string, ...rest: readonly unknown[]) => {
      const answer = await Reflect.apply(registry[call], registry, [key, ...rest]);
      if (isSilent(call, key)) throw new Fault('registry-unreachable', 'no answer');
      return answer;
    };
  const unsafe: Registry = {
    location: registry.location,
    keysAreFiles: true,
    follow: (...args) => registry.follow(...args),
    read: (...args) => registry.read(...args),
    write: silent('write'),
    replace: silent('replace'),
    transact: (...args) => registry.transact(...args),
    remove: (...args) => registry.remove(...args),
    openSession: (...args) => registry.openSession(...args),
    close: () => registry.close(),
  };
  const fleet = new Fleet(unsafe);
  onTestFinished(async () => {
    await fleet.close();
    await registry.close();
    await rm(path, { recursive: true, force: true });
  });
  const wall = () => Date.parse('2026-01-31T09:30:00Z');
  const drains = new Drains({ registry: unsafe, fleet, who: 'ada@desk', why: 'a test', wall });
  const overrides = async () => (await registry.read('overrides/')).entries.map(({ key }) => key);
  return { drains, overrides, until: wall() + 60_000 };
}

test('a drain is ended although the registry did not answer that it had begun', async () => {
  const { drains, overrides, until } = await open((call, key) => call === 'write' && key.endsWith('/a'));
  await expect(drains.begin([a, b], 60_000, undefined)).rejects.toThrow('no answer');
  expect([...drains.standing].sort()).toEqual([
    ['web/a', until],
    ['web/b', until],
  ]);
  expect(await overrides()).toEqual(['overrides/web/a', 'overrides/web/b']);
  await drains.end(a);
  await drains.end(b);
  expect(await overrides()).toEqual([]);
  expect(drains.standing.size).toBe(0);
});

test('a drain stands until the registry answers that it has ended', async () => {
  let isSilent = true;
  const { drains } = await open((call) => call === 'replace' && isSilent);
  await drains.begin([a], 60_000, undefined);
  await expect(drains.end(a)).rejects.toThrow('no answer');
  expect([...drains.standing.keys()]).toEqual(['web/a']);
  isSilent = false;
  await drains.end(a);
  expect(drains.standing.size).toBe(0);
});
