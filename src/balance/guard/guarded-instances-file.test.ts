import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { replaceFile } from '../../fs/replace-file.ts';
import { makeMetric } from '../../metrics/make-metric.ts';
import { parseInstance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { Storage, storageMetrics } from '../state/storage.ts';
import { type GuardedInstances, GuardedInstancesFile, loadGuardedInstances } from './guarded-instances-file.ts';

const write = (path: string, text: string) => replaceFile(path, text, {});
let dir: string;
let now: number;
let file: GuardedInstancesFile;
let storage: Storage;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pm-holds-'));
  now = Date.parse('2026-03-01T12:00:00Z');
  const metrics = storageMetrics(makeMetric(new Registry()));
  storage = new Storage({ metrics, logger: pino({ level: 'silent' }), now: () => 0 });
  file = new GuardedInstancesFile({ path: join(dir, 'holds.json'), storage, write, wall: () => new Date(now) });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const web = 'web' as ServiceName;
function hold(id: string, value: string, remainingMs = 60_000): GuardedInstances {
  const instance = parseInstance(web, id as InstanceId, value);
  if (!instance.ok) throw new Error(instance.reason);
  return { service: web, lost: 3, of: 5, remainingMs, instances: [instance.value] };
}

test('holds are there again for the rest of their time', async () => {
  const kept = hold('a', '{"address":"10.0.0.1:80","weight":7,"version":"v2","zone":"b","meta":{"k":"v"}}');
  file.save(() => [kept]);
  await file.flush();
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([kept]);
  now += 59_000;
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([{ ...kept, remainingMs: 1000 }]);
  now += 1000;
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([]);
});

test('the newest of several is what stands there in the end', async () => {
  for (const id of ['a', 'b', 'c']) file.save(() => [hold(id, '10.0.0.1:80')]);
  await file.flush();
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([hold('c', '10.0.0.1:80')]);
  file.save(() => []);
  await file.flush();
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([]);
});

test('no file is no hold, and one that cannot be read says why', async () => {
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([]);
  await writeFile(join(dir, 'holds.json'), '{"format":2}');
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual({
    unusable: expect.stringContaining('Expected 1'),
  });
  await writeFile(join(dir, 'holds.json'), '{"format":1,"holds":[{"service":"a b","until":"2027-01-01T00:00:00.000Z","lost":1,"of":1,"instances":[]}]}'); // biome-ignore format: a file
  expect(await loadGuardedInstances(join(dir, 'holds.json'), new Date(now))).toEqual([]);
});

test('a folder that cannot be written is said, and is no failure of anything else', async () => {
  const nowhere = new GuardedInstancesFile({
    path: join(dir, 'none', 'holds.json'),
    storage,
    write,
    wall: () => new Date(now),
  });
  nowhere.save(() => [hold('a', '10.0.0.1:80')]);
  await nowhere.flush();
  expect(storage.status()).toMatchObject([{ what: 'holds' }]);
  file.save(() => []);
  await file.flush();
  expect(storage.status()).toEqual([]);
  expect((await readFile(join(dir, 'holds.json'), 'utf8')).trim()).toBe('{"format":1,"holds":[]}');
});

test('what could not be written is, with the time that it had, once there is room', async () => {
  const later = new GuardedInstancesFile({
    path: join(dir, 'later', 'holds.json'),
    storage,
    write,
    wall: () => new Date(now),
  });
  const began = now;
  later.save(() => [hold('a', '10.0.0.1:80', 60_000 - (now - began))]);
  await vi.waitFor(() => expect(storage.status()).toMatchObject([{ what: 'holds' }]), 10_000);
  now += 5000;
  await mkdir(join(dir, 'later'));
  await vi.waitFor(() => expect(storage.status()).toEqual([]), 10_000);
  expect(await loadGuardedInstances(join(dir, 'later', 'holds.json'), new Date(now))).toEqual([
    hold('a', '10.0.0.1:80', 55_000),
  ]);
  await later.flush();
});
