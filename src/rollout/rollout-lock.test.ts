import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { parseServiceName } from '../model/name.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import { lockRollout } from './rollout-lock.ts';

const [web, api] = ['web', 'api'].map((text) => {
  const name = parseServiceName(text);
  if (!name.ok) throw new Error(name.reason);
  return name.value;
});
const since = Date.parse('2026-01-31T09:30:00Z');

async function open() {
  const path = await mkdtemp(join(tmpdir(), 'pm-'));
  const registry = openDirectoryRegistry({ path, logger: pino({ level: 'silent' }) });
  onTestFinished(async () => {
    await registry.close();
    await rm(path, { recursive: true, force: true });
  });
  const lock = (service: typeof web, by: string) => {
    if (service === undefined) throw new Error('there is no such service');
    return lockRollout(registry, service, { by, since });
  };
  return { registry, lock };
}

test('a second rollout of a service is refused with the name of the first, and may begin after its end', async () => {
  const { lock } = await open();
  const first = await lock(web, 'ada@desk');
  await expect(lock(web, 'bob@desk')).rejects.toMatchObject({
    code: 'key-owned',
    message: 'another rollout of web runs, by ada@desk since 2026-01-31T09:30:00Z',
  });
  await (await lock(api, 'bob@desk')).release();
  expect(await first.confirm()).toEqual({ ok: true });
  await first.release();
  await (await lock(web, 'bob@desk')).release();
});

test('a rollout whose key was lost takes it again, unless another one has begun', async () => {
  const { registry, lock } = await open();
  const first = await lock(web, 'ada@desk');
  await registry.remove('waits/rollout-web');
  expect(await first.confirm()).toEqual({ ok: true });
  await registry.write('waits/rollout-web', '{"by":"bob@desk"}');
  expect(await first.confirm()).toMatchObject({
    ok: false,
    because: expect.stringMatching(
      /^another rollout of web has begun, by bob@desk, while the registry was unavailable/,
    ),
  });
  await first.release();
  expect((await registry.read('waits/')).entries.map(({ value }) => value)).toEqual(['{"by":"bob@desk"}']);
});
