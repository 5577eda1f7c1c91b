import { expect, test } from 'vitest';
import { LoadReader, parseIdleClients, parseLoads, parseServerIds } from './server-load.ts';

// As HAProxy 2.6.12 says it; 3.4 has more columns before and after.
const heading = '# pxname,svname,qcur,qmax,scur,smax,status,weight,mode,\n';
const connections = (...servers: readonly string[]) =>
  `# bkname/svname bkid/svid addr port - purge_delay used_cur used_max\n${servers
    .map((server, i) => `${server} 3/${i + 1} 127.0.0.1 80 - 5000 1 1 1\n`)
    .join('')}\n`;

test('the load of a server is what it works on and what waits for it', () => {
  const rows = 'web,a,1,4,2,9,UP,100,http,\nweb,b,0,0,0,0,DRAIN,0,http,\nweb,c,0,0,3,3,UP,100,tcp,\n\n';
  expect(Object.fromEntries(parseLoads(heading + rows))).toEqual({
    'web/a': { open: 3, takesNew: true },
    'web/b': { open: 0, takesNew: false },
    'web/c': { open: 3, takesNew: false },
  });
});

test('clients that could send a request are those that speak HTTP/1 and have none open, and all of HTTP/2', () => {
  const rows = 'f,FRONTEND,3,1,2\ng,FRONTEND,1,1,0\n_tcp,FRONTEND,,,\n\n';
  const columns = '# pxname,svname,h1_open_connections,h1_open_streams,h2_open_connections\n';
  expect(parseIdleClients(columns + rows)).toBe(4);
});

test('answers that say nothing are no load', () => {
  expect(parseLoads('No such proxy.\n\n').size).toBe(0);
  expect(parseLoads(heading).size).toBe(0);
  expect(parseServerIds("Can't find backend.\n").size).toBe(0);
});

test('ids are asked for once, and again when they mean another server', async () => {
  const asked: string[] = [];
  let order = ['web/a', 'web/b'];
  const reader = new LoadReader(async (commands) => {
    asked.push(...commands);
    return commands.map((command) => {
      const id = /^show stat web 4 (\d+)$/.exec(command)?.[1];
      if (id === undefined) return connections(...order);
      const [backend = '', server = ''] = order[Number(id) - 1]?.split('/') ?? [];
      return `${heading}${backend},${server},0,0,${server === 'b' ? 7 : 0},0,UP,1,http,\n\n`;
    });
  });
  const b = { backend: 'web', server: 'b' };
  expect((await reader.read([b])).get('web/b')?.open).toBe(7);
  expect((await reader.read([b])).get('web/b')?.open).toBe(7);
  expect(asked).toEqual(['show servers conn web', 'show stat web 4 2', 'show stat web 4 2']);
  order = ['web/b', 'web/a'];
  expect((await reader.read([b])).get('web/b')?.open).toBe(7);
  expect((await reader.read([{ backend: 'web', server: 'gone' }])).size).toBe(0);
});

test('many servers of one backend are asked for together', async () => {
  const asked: string[] = [];
  const servers = Array.from({ length: 40 }, (_, i) => ({ backend: 'web', server: `s${i}` }));
  const reader = new LoadReader(async (commands) => {
    asked.push(...commands);
    return [heading + servers.map(({ server }, i) => `web,${server},0,0,${i},0,UP,1,http,\n`).join('')];
  });
  const loads = await reader.read(servers);
  expect(loads.get('web/s39')?.open).toBe(39);
  expect(asked).toEqual(['show stat web 4 -1']);
});
