import { describe, expect, test } from 'vitest';
import { RequestCounter, sumUp } from './open-requests.ts';

const serving = (open: number) => ({ load: { open, takesNew: false }, idleClients: undefined });
const old = (open: number, takesNew: boolean, idleClients: number) => ({
  load: { open, takesNew },
  idleClients,
});

describe('the open requests of a server', () => {
  test('are those of all workers', () => {
    expect(sumUp([serving(2), old(3, true, 0), old(1, false, 1)])).toEqual({ open: 6, mayGrow: false });
  });

  test('are none when no worker has any and none can get any', () => {
    expect(sumUp([serving(0)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), old(0, true, 0)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), old(0, false, 9)])).toEqual({ open: 0, mayGrow: false });
    expect(sumUp([serving(0), { load: undefined, idleClients: 9 }])).toEqual({ open: 0, mayGrow: false });
  });

  test('may grow while a client of an old worker may send one more', () => {
    expect(sumUp([serving(0), old(0, true, 1)])).toEqual({ open: 0, mayGrow: true });
  });
});

const heading = '# pxname,svname,scur,qcur,status,weight,mode,h1_open_connections,h1_open_streams,h2_open_connections';
const ids = '1\n# bkname/svname bkid/svid addr port - purge_delay used_cur\nweb/a 3/1 127.0.0.1 80 - 5000 0\n';

/** What a worker answers of the server web/a with so many open requests, and of a frontend without clients. */
const answers = (open: number) => (commands: readonly string[]) =>
  Promise.resolve(
    commands.map((command) => {
      if (command.startsWith('show servers conn')) return ids;
      const row = command.startsWith('show stat web')
        ? `web,a,${open},0,UP,100,http,,,`
        : '_http,FRONTEND,0,0,OPEN,,http,0,0,0';
      return `${heading}\n${row}\n`;
    }),
  );

const counterWith = (silent: readonly number[], old: () => readonly number[], open = 0) =>
  new RequestCounter({
    current: answers(open),
    old: () => Promise.resolve(old()),
    askOld: (pid, commands) =>
      silent.includes(pid) ? Promise.reject(new Error('connect EAGAIN')) : answers(1)(commands),
  });

const webA = { backend: 'web', server: 'a' };
const pids = Array.from({ length: 25 }, (_, i) => i + 1);

describe('counting with many old workers', () => {
  test('asks few of them at once', async () => {
    let asking = 0;
    let most = 0;
    const counter = new RequestCounter({
      current: answers(0),
      old: () => Promise.resolve(pids),
      askOld: async (_, commands) => {
        most = Math.max(most, ++asking);
        await new Promise(setImmediate);
        asking -= 1;
        return answers(1)(commands);
      },
    });
    expect((await counter.count([webA])).get('web/a')).toEqual({ open: 25, mayGrow: false });
    expect(most).toBeLessThanOrEqual(2);
  });

  test('counts the others where one does not answer, and knows no 0', async () => {
    expect((await counterWith([7], () => pids).count([webA])).get('web/a')).toEqual({ open: 24, mayGrow: true });
    expect((await counterWith([7], () => [7]).count([webA])).has('web/a')).toBe(false);
    expect((await counterWith([7], () => [7], 2).count([webA])).get('web/a')).toEqual({ open: 2, mayGrow: true });
  });

  test('does not wait for one that has ended meanwhile', async () => {
    let asked = 0;
    const counter = counterWith([7], () => (asked++ === 0 ? [7] : []));
    expect((await counter.count([webA])).get('web/a')).toEqual({ open: 0, mayGrow: false });
  });
});
