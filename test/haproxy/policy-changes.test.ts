import { mkdir, rmdir } from 'node:fs/promises';
import { request } from 'node:http';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Service } from '../../src/catalog/service.ts';
import type { ServiceName } from '../../src/model/name.ts';
import { startApp } from '../support/app.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { isNightly } from '../support/nightly.ts';
import { choices, lookUp, routesOf, type Versions } from '../support/policy-versions.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

let balancer: TestBalancer;
let app: Awaited<ReturnType<typeof startApp>>;

beforeEach(async () => {
  app = await startApp('app', (incoming, response) => response.end(incoming.url));
});
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') process.stderr.write(balancer.lines.slice(-60).join(''));
  await balancer.stop();
  await app.close();
});

async function start(policies: Readonly<Record<string, object>>, reloadIntervalMs = 300): Promise<void> {
  balancer = await startBalancer({ reloadIntervalMs });
  balancer.snapshot(
    Object.fromEntries(
      Object.entries(policies).flatMap(([name, policy]) => [
        [`services/${name}`, JSON.stringify(policy)],
        [`instances/${name}/a`, app.address],
      ]),
    ),
  );
  await balancer.balancer.start();
  await balancer.applied();
}

const put = (name: string, policy: object) => balancer.change({ [`services/${name}`]: JSON.stringify(policy) });

/** One request on a connection of its own: the status, the policy's mark, and the path that the server got. */
function see(host: string, path = '/'): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port: balancer.port, path, headers: { host }, agent: false, timeout: 10_000 };
    const req = request(options, (res) => {
      let body = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => (body += chunk));
      const { statusCode, headers } = res;
      res.on('end', () => resolve(statusCode === 200 ? `${body} ${headers['x-rules'] ?? ''}`.trim() : `${statusCode}`));
      res.on('error', (error) => resolve(error.message));
    });
    req.on('timeout', () => req.destroy(new Error('no answer')));
    req.on('error', (error) => resolve(error.message));
    req.end();
  });
}

/** Asks all the time while something is done; what was seen, each once. */
async function watch(requests: readonly (readonly [host: string, path: string])[], act: () => Promise<unknown>) {
  const seen = requests.map(() => new Set<string>());
  let over = false;
  const clients = requests.map(async ([host, path], i) => {
    do seen[i]?.add(await see(host, path));
    while (!over);
    seen[i]?.add(await see(host, path));
  });
  try {
    await act();
  } finally {
    over = true;
    await Promise.all(clients);
  }
  return seen.map((answers) => [...answers].sort());
}

/** A reload by the balancer itself, without any change. */
async function reload(): Promise<void> {
  const before = await balancer.metric('reloads_total');
  balancer.balancer.reloadFor('test');
  await until('it is reloaded', async () => (await balancer.metric('reloads_total')) > before);
}

/** Nothing can be checked, so that nothing is reloaded. */
async function blockReloads(): Promise<() => Promise<void>> {
  const { candidate } = balancer.paths;
  await mkdir(candidate);
  return () => rmdir(candidate);
}

const onlyOthers = { access: { allow: ['10.0.0.0/8'] } };

describe('a new version of a policy is seen whole', () => {
  test('a host that comes with rules is never served without them', async () => {
    await start({ web: { hosts: ['web.example'] } });
    const [admin, web] = await watch([['admin.example', '/'], ['web.example', '/']], async () => {
      put('web', { hosts: ['web.example', 'admin.example'], ...onlyOthers });
      await balancer.applied();
      await until('it is served', async () => (await see('admin.example')) === '403');
    }); // biome-ignore format: a table
    expect(admin).toEqual(['403', '404']);
    expect(web).toEqual(['/', '403']);
  });

  test('nor while the disk takes no configuration, nor by a HAProxy that is started meanwhile', async () => {
    await start({ web: { hosts: ['web.example'] } });
    const unblock = await blockReloads();
    const [admin] = await watch([['admin.example', '/']], async () => {
      put('web', { hosts: ['web.example', 'admin.example'], ...onlyOthers });
      await until('it waits', () => balancer.lines.some((line) => line.includes('not-saved')));
      put('web', { hosts: ['admin.example'], ...onlyOthers });
      // Routes that are removed do not wait for the disk.
      await until('web.example is gone', async () => (await see('web.example')) === '404');
      await until('the map says so', async () => !(await balancer.routes()).includes('web.example'));
    });
    expect(admin).toEqual(['404']);
    await unblock();
    await balancer.haproxy.reload();
    expect(await see('admin.example')).toMatch(/40[34]/);
    await until('it is served', async () => (await see('admin.example')) === '403');
  });

  test('a path that is stripped reaches the server in one form or the other', async () => {
    await start({ web: { hosts: ['web.example'] } });
    const [seen] = await watch([['web.example', '/api/x']], async () => {
      put('web', { hosts: ['web.example'], paths: ['/api'], strip: true, headers: { response: { set: { 'X-Rules': '2' } } } }); // biome-ignore format: a line
      await until('it is served', async () => (await see('web.example', '/api/x')) === '/x 2');
    });
    expect(seen).toEqual(['/api/x', '/x 2']);
  });

  test('a service that was tcp takes HTTP only when it is HTTP, and loses nothing', async () => {
    const port = await freePort();
    await start({ web: { mode: 'tcp', port }, other: { hosts: ['*'] } });
    const seen = await watch([['web.example', '/'], ['web.example', '/x']], async () => {
      put('web', { hosts: ['web.example'], headers: { response: { set: { 'X-Rules': '2' } } } });
      await until('it is served', async () => (await see('web.example')) === '/ 2');
    }); // biome-ignore format: a table
    expect(seen).toEqual([['/', '/ 2'], ['/x', '/x 2']]); // biome-ignore format: a table
  });

  test('a host that moves to a service with other rules is found all the time', async () => {
    await start({ web: { hosts: ['web.example', 'move.example'] }, api: { hosts: ['api.example'] } });
    const [seen] = await watch([['move.example', '/']], async () => {
      balancer.change({
        'services/web': JSON.stringify({ hosts: ['web.example'] }),
        'services/api': JSON.stringify({ hosts: ['move.example'], ...onlyOthers }),
      });
      await until('it is moved', async () => (await see('move.example')) === '403');
    });
    expect(seen).toEqual(['/', '403']);
  });

  test('only routes that change need no reload', async () => {
    await start({ web: { hosts: ['web.example'] } });
    const before = await balancer.metric('reloads_total');
    put('web', { hosts: ['new.example'] });
    await balancer.applied();
    expect(await Promise.all([see('web.example'), see('new.example')])).toEqual(['404', '/']);
    expect(await balancer.metric('reloads_total')).toBe(before);
  });
});

const route = fc.constantFrom(
  { hosts: ['a.example'] },
  { hosts: ['a.example'], paths: ['/x'], strip: true },
  { hosts: ['a.example'], paths: ['/x/y'] },
  { hosts: ['b.example'], priority: 1 },
  { hosts: ['*.example'], paths: ['/x'], priority: 2 },
  { hosts: ['*'] },
);
const version = fc.record({
  routes: fc.uniqueArray(route, { minLength: 1, maxLength: 3 }),
  rules: fc.constantFrom('1', '2', 'denied'),
});
const names = ['web', 'api'] as const;
const requests = ['a.example', 'b.example', 'else'].flatMap((host) =>
  ['/', '/x', '/x/y'].map((path) => [host, path] as const),
);

function policyOf(name: string, { routes, rules }: { readonly routes: readonly object[]; readonly rules: string }) {
  const marked = { headers: { response: { set: { 'X-Rules': `${name}-${rules}` } } } };
  return { routes, ...(rules === 'denied' ? onlyOthers : marked) };
}

/** All that a request may be answered when each service has any one of its versions. */
function explained(versions: Versions, host: string, path: string): ReadonlySet<string> {
  const outcomes = new Set<string>();
  for (const chosen of choices(versions)) {
    const target = lookUp(new Map(routesOf(chosen)), host, path === '/' ? '' : path);
    const [name, stripped = 0] = target?.split('/') ?? [];
    const policy = chosen.find((one) => one.name === name)?.policy;
    if (policy === undefined) outcomes.add('404');
    else if (policy.access !== undefined) outcomes.add('403');
    else {
      const rest = `/${path
        .split('/')
        .slice(1 + Number(stripped))
        .join('/')}`;
      outcomes.add(`${rest} ${marks.get(policy) ?? ''}`.trim());
    }
  }
  return outcomes;
}

const marks = new WeakMap<object, string>();

test('whatever policies change into, each request sees one whole version of each', { timeout: 240_000 }, async () => {
  await start({ web: {}, api: {} }, 200);
  const service = (name: string) => balancer.balancer.status().catalog.services.get(name as ServiceName) as Service;
  const changes = fc.dictionary(fc.constantFrom(...names), version, { minKeys: 1 });
  const before = new Map<string, Service>();
  await fc.assert(
    fc.asyncProperty(changes, fc.boolean(), async (asked, isBusy) => {
      for (const name of names) before.set(name, service(name));
      // A worker from before the last reload may have accepted a connection that it answers now.
      await until('no other worker answers', async () => (await balancer.haproxy.processes())?.oldWorkers === 0);
      // Another reload has just been done, so that this one waits for its turn.
      if (isBusy) await reload();
      const seen = await watch(requests, async () => {
        for (const [name, one] of Object.entries(asked)) put(name, policyOf(name, one));
        for (const [name, one] of Object.entries(asked)) marks.set(service(name).policy, one.rules === 'denied' ? '' : `${name}-${one.rules}`); // biome-ignore format: a line
        await balancer.applied();
      });
      const versions = new Map(names.map((name) => [name, [before.get(name), service(name)]]));
      for (const [i, [host, path]] of requests.entries()) {
        const allowed = explained(versions, host, path);
        const unexplained = (seen[i] ?? []).filter((answer) => !allowed.has(answer));
        expect(unexplained, `${host}${path}, and not ${[...allowed].join(', ')}`).toEqual([]);
      }
    }),
    { numRuns: Number(process.env['HISTORIES'] ?? (isNightly ? 25 : 8)), endOnFailure: true },
  );
});
