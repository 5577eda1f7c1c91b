import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Acknowledgement, formatAcknowledgement } from '../src/fleet/acknowledgement.ts';
import { balancerKey } from '../src/model/key.ts';
import type { Revision } from '../src/model/revision.ts';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { startBalancers } from './support/balancers.ts';
import { freePort } from './support/ports.ts';
import { startPointsman } from './support/processes.ts';
import type { RegistryKind } from './support/scenario.ts';
import { until } from './support/until.ts';

async function start(kind: RegistryKind) {
  const scenario = await startBalancers(kind);
  const { registry, fleet, location } = scenario;
  return {
    ...scenario,
    register: (id: string, address: string, ...more: readonly string[]) =>
      startPointsman(['register', '--registry', location, '--service', 'web', '--id', id, '--address', address, '--ttl', '5s', ...more]), // biome-ignore format: a command line
    /** A key that says what this test wants: a balancer as others see it, and nothing else of one. */
    async pretend(id: string) {
      const session = registry.openSession({ ttlMs: 60_000, mayReplace: () => true, onEvent: () => undefined });
      onTestFinished(() => session.close());
      await until('the fleet is heard', () => fleet.view.cluster !== undefined);
      return {
        says: (value: string) => session.put(balancerKey(id), value),
        acknowledges: (revision: Revision, draining: Acknowledgement['draining']) =>
          session.put(
            balancerKey(id),
            formatAcknowledgement({
              revision,
              cluster: fleet.view.cluster ?? '',
              owner: id,
              version: 'test',
              haproxyVersion: 'none',
              config: 'none',
              admin: undefined,
              appliedAt: 'now',
              draining,
              refusals: [],
              unproven: new Map(),
              unrouted: new Map(),
              conflicts: new Map(),
              untold: new Map(),
              unlisted: new Map(),
            }),
          ),
        dies: () => session.close(),
      };
    },
    /** The revision in which the instance drains. */
    drains: (id: string) =>
      until(`${id} drains`, async () => {
        const [entry] = (await registry.read(`instances/web/${id}`)).entries;
        return entry?.value.includes('draining') === true ? entry.revision : undefined;
      }),
  };
}

describe.each(['folder', 'etcd'] as const)('an instance that leaves, with the registry in %s,', (kind) => {
  test('ends its command when no balancer has a request of it open', async () => {
    const { register, registry, balancerNamed, acknowledged, drains } = await start(kind);
    const [one, two] = [await balancerNamed('lb-1'), await balancerNamed('lb-2')];
    const other = await startApp('b');
    onTestFinished(() => other.close());
    register('b', other.address);
    const port = await freePort();
    // Answers /slow when it is asked for /go, and says what it is told.
    const code = `let slow; require('node:http').createServer((req, res) => {
      if (req.url === '/slow') { slow = res; console.log('asked'); return; }
      if (req.url === '/go') slow.end('a');
      res.end('a');
    }).listen(${port}, '127.0.0.1', () => console.log('listens'));
    process.on('SIGTERM', () => { console.log('told to end'); process.exit(3); });`;
    const leaving = register('a', `127.0.0.1:${port}`, '--', process.execPath, '-e', code);
    await until('both serve both', async () => {
      for (const { http } of [one, two]) {
        const bodies = new Set<string>();
        for (let i = 0; i < 4; i += 1) bodies.add((await ask(http, 'web')).body);
        if (bodies.size < 2) return false;
      }
      return true;
    });
    // Of two idle servers, one of the two requests goes to each.
    const requests = [ask(two.http, 'web', '/slow'), ask(two.http, 'web', '/slow')];
    await leaving.printed('asked');
    leaving.kill('SIGTERM');
    const revision = await drains('a');
    const said = (id: string, least: bigint, open: number) =>
      acknowledged(id, `${open} open`, (one) => one.revision >= least && one.draining?.get('web/a') === open);
    await Promise.all([said('lb-1', revision, 0), said('lb-2', revision, 1)]);
    for (const { http } of [one, two]) expect((await ask(http, 'web')).body).toBe('b');
    // Each balancer says it a second time: by now a leave that did not wait would be over.
    const later = await registry.write('keys/colour', 'blue');
    await Promise.all([said('lb-1', later, 0), said('lb-2', later, 1)]);
    expect(leaving.stdout).not.toContain('told to end');
    expect(leaving.log.some(({ event }) => event === 'let-go')).toBe(false);
    const finished = new Date().toISOString();
    await ask(port, 'web', '/go');
    expect((await Promise.all(requests)).map(({ body }) => body).sort()).toEqual(['a', 'b']);
    expect((await leaving.ended).code).toBe(3);
    const letGo = leaving.log.find(({ event }) => event === 'let-go');
    expect(letGo).toMatchObject({ balancers: 2 });
    expect(String(letGo?.['time']) >= finished).toBe(true);
    expect(leaving.stdout).toContain('told to end');
  });

  test('waits for nobody when no balancer is alive', async () => {
    const { register } = await start(kind);
    const leaving = register('a', '10.0.0.1:80');
    await leaving.logged('announced');
    leaving.kill('SIGTERM');
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    expect(leaving.log.find(({ event }) => event === 'let-go')).toMatchObject({ balancers: 0 });
  });
});

describe('an instance that leaves', () => {
  test('says at its deadline what is still open, and where', async () => {
    const { register, pretend, drains, registry } = await start('folder');
    const [one, two, three] = [await pretend('lb-1'), await pretend('lb-2'), await pretend('lb-3')];
    await one.says('{"format":9,"owner":"x"}');
    const leaving = register('a', '10.0.0.1:80', '--drain-timeout', '1500ms');
    await leaving.logged('announced');
    leaving.kill('SIGTERM');
    const revision = await drains('a');
    await two.acknowledges(revision, new Map([['web/a', 2]]));
    await three.acknowledges(revision, new Map([['web/a', 0]]));
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    expect(leaving.log.find(({ event }) => event === 'drain-incomplete')).toMatchObject({
      level: 'warn',
      open: [
        { balancer: 'lb-1', missing: 'cannot tell: it is not of format 1' },
        { balancer: 'lb-2', missing: 'has 2 open requests' },
      ],
      msg: expect.stringContaining('not drained within 1.5s; lb-1 cannot tell'),
    });
    expect((await registry.read('instances/')).entries).toEqual([]);
  });

  test('waits for one that joins meanwhile, and no longer for one that dies', async () => {
    const { register, fleet, pretend, drains } = await start('etcd');
    const [one, two] = [await pretend('lb-1'), await pretend('lb-2')];
    const leaving = register('a', '10.0.0.1:80');
    const announced = await leaving.logged('announced');
    await one.acknowledges(BigInt(String(announced['revision'])) as Revision, new Map());
    leaving.kill('SIGTERM');
    const revision = await drains('a');
    await two.acknowledges(revision, new Map([['web/a', 1]]));
    await one.dies();
    await until('the first is gone', () => !fleet.view.balancers.has('lb-1'));
    const finished = new Date().toISOString();
    await two.acknowledges(revision, new Map([['web/a', 0]]));
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    const letGo = leaving.log.find(({ event }) => event === 'let-go');
    expect(letGo).toMatchObject({ level: 'warn', balancers: 1, vanished: ['lb-1'] });
    expect(letGo?.msg).toContain('lb-1 stopped answering before it confirmed the drain');
    expect(String(letGo?.['time']) >= finished).toBe(true);
  });

  test('goes at once when it is told a second time', async () => {
    const { register, pretend, drains, registry } = await start('folder');
    await (await pretend('lb-1')).says('{}');
    const leaving = register('a', '10.0.0.1:80', '--drain-timeout', '1h');
    await leaving.logged('announced');
    leaving.kill('SIGTERM');
    await drains('a');
    leaving.kill('SIGTERM');
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    expect(leaving.log.find(({ event }) => event === 'drain-incomplete')?.msg).toContain('leaving at once, as asked');
    expect((await registry.read('instances/')).entries).toEqual([]);
  });

  test('is not kept by a registry that goes away meanwhile', async () => {
    const { register, pretend, drains, etcd } = await start('etcd');
    await (await pretend('lb-1')).says('{}');
    const leaving = register('a', '10.0.0.1:80', '--drain-timeout', '2s');
    await leaving.logged('announced');
    leaving.kill('SIGTERM');
    await drains('a');
    await etcd?.members[0]?.stop();
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    const told = leaving.log.find(({ event }) => event === 'drain-incomplete');
    expect(told?.['registryAway']).toBeTypeOf('string');
    expect(told?.msg).toContain('the registry is unavailable');
    etcd?.members[0]?.start();
    await etcd?.healthy();
  });

  test('is not kept by a balancer that never served it: its service is quarantined, or a limit refuses it', async () => {
    const { registry, location, balancerNamed, acknowledged, register } = await start('etcd');
    await balancerNamed('lb-1', '--limit-instances', '1');
    const taken = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    await registry.write('services/db', JSON.stringify({ mode: 'tcp', port }));
    await registry.write('instances/web/a', '127.0.0.1:1');
    const db = startPointsman(['register', '--registry', location, '--service', 'db', '--id', 'd', '--address', '127.0.0.1:1']); // biome-ignore format: a command line
    const beyond = register('b', '127.0.0.1:2');
    const keys = ['instances/db/*', 'instances/web/b'];
    await acknowledged('lb-1', 'what it refuses', ({ refusals }) =>
      keys.every((key) => refusals.some((refusal) => refusal.key === key && refusal.absent === true)),
    );
    for (const leaving of [db, beyond]) {
      leaving.kill('SIGTERM');
      expect(await leaving.ended).toEqual({ code: 0, signal: null });
      const letGo = await leaving.logged('let-go');
      expect(letGo['ms']).toBeLessThan(5000);
    }
  });

  test('is not kept by a registry that is away already', async () => {
    const { register, etcd } = await start('etcd');
    const leaving = register('a', '10.0.0.1:80', '--drain-timeout', '1h');
    await leaving.logged('announced');
    await etcd?.members[0]?.stop();
    leaving.kill('SIGTERM');
    expect(await leaving.ended).toEqual({ code: 0, signal: null });
    expect(leaving.log.map(({ event }) => event)).toContain('leave-unconfirmed');
  });
});
