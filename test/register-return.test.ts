import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isNightly } from './support/nightly.ts';
import { type PointsmanProcess, startPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import type { RegistryKind } from './support/scenario.ts';
import { until } from './support/until.ts';

const key = 'instances/web/a';
const sleeping = ['--check', 'none', '--', process.execPath, '-e', 'setInterval(() => {}, 1000)'];

/** How one instance is registered. */
const ways = ['with a command', 'by an agent', 'without a command'] as const;
const kinds = ['etcd', 'folder'] as const;

async function start(kind: RegistryKind) {
  const scenario = await startRegistration(kind);
  const { location, dir, recorder } = scenario;
  let agents = 0;
  const register = async (way: (typeof ways)[number], address: string, ttl: string): Promise<PointsmanProcess> => {
    const common = ['register', '--registry', location, '--ttl', ttl];
    if (way !== 'by an agent') {
      const what = ['--service', 'web', '--id', 'a', '--address', address];
      return startPointsman([...common, ...what, ...(way === 'with a command' ? sleeping : [])]);
    }
    agents += 1;
    const folder = join(dir, `agent-${agents}`);
    await mkdir(folder);
    await writeFile(join(folder, 'a.yaml'), `service: web\nid: a\naddress: ${address}\n`);
    return startPointsman([...common, '--dir', folder]);
  };
  const standing = (): { readonly address?: string; readonly owner?: string; readonly state?: string } =>
    JSON.parse(recorder.view.get(key)?.value ?? '{}');
  const announcements = (one: PointsmanProcess) => one.log.filter(({ event }) => event === 'announced').length;
  /** Waits until this one has been announced so often, and gives the ms since `since`. */
  const announced = async (one: PointsmanProcess, times: number, since = performance.now()): Promise<number> => {
    await until(`announced ${times} times`, () => announcements(one) >= times, { deadlineMs: 30_000, everyMs: 2 });
    return performance.now() - since;
  };
  /** Waits as long as a lease of 3 s lives: until one that is not kept alive has expired. */
  const aTtlPasses = async () => {
    const clock = `keys/clock-${recorder.events.length}`;
    await scenario.registry.write(clock, 'tick', { ttlMs: 3000 });
    await recorder.sees(clock, 'tick');
    await recorder.sees(clock, undefined);
  };
  return { ...scenario, register, standing, announced, announcements, aTtlPasses };
}

describe.each(isNightly ? ways : ways.slice(0, 2))('an instance registered %s', (way) => {
  test('stands again when etcd is restored from a snapshot of before its process started', {
    timeout: 90_000,
  }, async () => {
    const { register, etcd, recorder, standing, announced, aTtlPasses } = await start('etcd');
    const before = await register(way, '10.0.0.1:80', '5s');
    await announced(before, 1);
    const snapshot = (await etcd?.snapshot()) ?? '';
    before.kill('SIGTERM');
    await before.ended;
    await recorder.sees(key, undefined);
    const now = await register(way, '10.0.0.1:80', '5s');
    await announced(now, 1);
    await until('it is seen', () => standing().owner !== undefined);
    const { owner } = standing();
    await etcd?.restore(snapshot);
    const ms = await announced(now, 2);
    process.stderr.write(`back ${Math.round(ms)} ms after etcd was restored, ${way}\n`);
    await until('its own registration stands', () => standing().owner === owner);
    await aTtlPasses();
    await aTtlPasses();
    expect(standing().owner).toBe(owner);
    expect(now.running).toBe(true);
  });

  test.each(isNightly ? kinds : kinds.slice(0, 1))(
    'stands again when it was stopped, replaced, and its replacement left, with the registry in %s',
    { timeout: 90_000 },
    async (kind) => {
      const { register, recorder, states, standing, announced, announcements, aTtlPasses } = await start(kind);
      const first = await register(way, '10.0.0.1:80', '3s');
      await announced(first, 1);
      first.kill('SIGSTOP');
      await recorder.sees(key, undefined);
      const second = await register(way, '10.0.0.2:80', '3s');
      await announced(second, 1);
      first.kill('SIGCONT');
      await first.logged('taken', ({ holder }) => holder === '10.0.0.2:80');
      await aTtlPasses();
      expect(announcements(first)).toBe(1);
      second.kill('SIGTERM');
      await until('the replacement has left', () => states().filter((state) => state === 'deleted').length >= 2);
      const ms = await announced(first, 2);
      process.stderr.write(`back ${Math.round(ms)} ms after its replacement left, ${way}, ${kind}\n`);
      await until('it stands', () => standing().address === '10.0.0.1');
      expect(ms).toBeLessThan(4000);
      expect(first.log.filter(({ event }) => event === 'taken')).toHaveLength(1);
    },
  );
});

describe.each(isNightly ? kinds : kinds.slice(0, 1))('with the registry in %s', (kind) => {
  test('of two processes with one id and one address the one that started later has the key, and then the other', {
    timeout: 90_000,
  }, async () => {
    const { register, recorder, standing, announced, aTtlPasses } = await start(kind);
    const older = await register('without a command', '10.0.0.1:80', '3s');
    await announced(older, 1);
    const newer = await register('without a command', '10.0.0.1:80', '3s');
    await announced(newer, 1);
    await older.logged('taken');
    const { owner } = standing();
    const changes = recorder.changes.filter((change) => change.includes(key)).length;
    for (let i = 0; i < 3; i += 1) await aTtlPasses();
    // No process has written the key since.
    expect(recorder.changes.filter((change) => change.includes(key))).toHaveLength(changes);
    expect(standing().owner).toBe(owner);
    newer.kill('SIGKILL');
    await announced(older, 2);
    await until('the older one has it', () => standing().owner !== undefined && standing().owner !== owner);
    older.kill('SIGTERM');
    expect((await older.ended).code).toBe(0);
    await recorder.sees(key, undefined);
  });

  test('a process that ends leaves the key alone that its successor at the same address holds', async () => {
    const { register, states, announced, standing } = await start(kind);
    const older = await register('with a command', '10.0.0.1:80', '30s');
    await announced(older, 1);
    const newer = await register('with a command', '10.0.0.1:80', '30s');
    await announced(newer, 1);
    await until('the newer one stands', () => states().length === 2);
    const { owner } = standing();
    // The older one has not looked at its key since.
    older.kill('SIGTERM');
    await older.ended;
    expect(states()).toEqual(['ready', 'ready']);
    expect(standing().owner).toBe(owner);
  });

  test('an application that runs is not ended when another process holds its id, and is registered after that one', {
    timeout: 90_000,
  }, async () => {
    const { register, standing, announced, aTtlPasses } = await start(kind);
    const first = await register('without a command', '10.0.0.1:80', '3s');
    await announced(first, 1);
    const second = await register('with a command', '10.0.0.2:80', '3s');
    const held = await second.logged('key-owned');
    expect(held).toMatchObject({ holder: '10.0.0.1:80', level: 'error' });
    expect(held.msg).toContain('web/a is registered by another process, at 10.0.0.1:80');
    // As long as the first one's lease could outlive it.
    await aTtlPasses();
    await aTtlPasses();
    expect(second.running).toBe(true);
    expect(standing().address).toBe('10.0.0.1');
    first.kill('SIGTERM');
    await announced(second, 1);
    await until('the second one stands', () => standing().address === '10.0.0.2');
    expect(second.log.filter(({ event }) => event === 'key-owned')).toHaveLength(1);
  });
});
