import { Map as PersistentMap } from 'immutable';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { ServerLine } from '../../haproxy/server-line.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import { Rotation } from './rotation.ts';

const web = 'web' as ServiceName;

/** A rotation over an HAProxy that is an object, with one service. The clock does not move. */
function startRotation({ roundRobin = true } = {}) {
  const chosen: Record<string, number> = { a: 0, b: 0 };
  const renewed: string[] = [];
  const armed: number[] = [];
  let action: (() => void | Promise<void>) | undefined;
  const link = {
    connected: true,
    workerPid: 1,
    backendTraffic: async () =>
      new Map([['web', { requests: Object.values(chosen).reduce((sum, count) => sum + count, 0) }]]),
    aside: async () => ({
      workerPid: 1,
      run: async () => {
        const rows = Object.entries(chosen).map(([id, count]) => `web,${id},UP,9,0,${count},\n`);
        return [`# pxname,svname,status,weight,bck,lbtot,\n${rows.join('')}`];
      },
      close: () => undefined,
    }),
    renewPlaces: async (servers: readonly { backend: string; server: ServerLine }[]) => {
      renewed.push(...servers.map(({ backend, server }) => `${backend}/${server.name} ${server.weight}`));
    },
  };
  const rotation = new Rotation({
    link: link as unknown as ConstructorParameters<typeof Rotation>[0]['link'],
    isRoundRobin: () => roundRobin,
    timers: {
      has: () => action !== undefined,
      arm: (_, ms, run) => {
        armed.push(ms);
        action = run;
      },
    },
    loop: { wake: () => undefined },
    logger: pino({ level: 'silent' }),
    now: () => 0,
  });
  const look = async () => {
    const run = action;
    action = undefined;
    await run?.();
  };
  return { rotation, link, chosen, renewed, armed, look, isArmed: () => action !== undefined };
}

const served = (...lines: readonly string[]) => {
  const servers = PersistentMap(lines.map((line) => [line.split(' ')[1], line]));
  return { backends: PersistentMap([['web', { servers }]]) } as unknown as Rendered;
};
const both = served('server a 10.0.0.1:80 weight 9', 'server b 10.0.0.2:80 weight 9 check');

describe('pointsman watches the turns of servers', () => {
  test('from the return of a server until each was chosen', async () => {
    const { rotation, chosen, look, isArmed } = startRotation();
    rotation.left(web);
    rotation.joined(web);
    await look();
    chosen['a'] = 20;
    await look();
    expect(isArmed()).toBe(true);
    chosen['b'] = 20;
    await look();
    expect(isArmed()).toBe(false);
  });

  test('not where no server left since the worker began, and not without round robin', () => {
    const { rotation, link, isArmed } = startRotation();
    rotation.joined(web);
    expect(isArmed()).toBe(false);
    rotation.left(web);
    link.workerPid = 2;
    rotation.joined(web);
    expect(isArmed()).toBe(false);
    const other = startRotation({ roundRobin: false });
    other.rotation.left(web);
    other.rotation.joined(web);
    expect(other.isArmed()).toBe(false);
  });

  test('where a server may have left before this pointsman took over the worker', () => {
    const { rotation, isArmed } = startRotation();
    rotation.adopt();
    rotation.joined(web);
    expect(isArmed()).toBe(true);
  });

  test('less often while no requests come', async () => {
    const { rotation, armed, look } = startRotation();
    rotation.left(web);
    rotation.joined(web);
    for (let i = 0; i < 6; i += 1) await look();
    expect(armed).toEqual([200, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    rotation.joined(web);
    expect(armed.at(-1)).toBe(200);
  });
});

describe('a server that is passed over', () => {
  const passOver = async () => {
    const started = startRotation();
    const { rotation, chosen, look } = started;
    rotation.onStep({ kind: 'retire-server', backend: web, name: 'b' });
    rotation.joined(web);
    await look();
    expect(rotation.due).toBe(false);
    chosen['a'] = 20;
    await look();
    expect(rotation.due).toBe(true);
    return started;
  };

  test('gets a new place, with the weight that HAProxy has', async () => {
    const { rotation, renewed } = await passOver();
    await rotation.renew(both);
    expect(renewed).toEqual(['web/b 9']);
    expect(rotation.due).toBe(false);
  });

  test('gets none if it has left, or is to get no requests, since it was seen', async () => {
    for (const line of ['', ' disabled', ' weight 0']) {
      const { rotation, renewed } = await passOver();
      const b = line === '' ? 'server c 10.0.0.3:80' : `server b 10.0.0.2:80${line}`;
      await rotation.renew(served('server a 10.0.0.1:80 weight 9', b));
      expect(renewed).toEqual([]);
    }
  });
});
