import { createServer, type Server } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import { parseServerLine } from '../../src/haproxy/server-line.ts';
import { formatChallenge } from '../../src/model/acme/challenge.ts';
import { challengeKey } from '../../src/model/acme/keys.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { isNightly } from '../support/nightly.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

// Faults by others between changes of the registry, which the balancer has to notice and repair.
type Act =
  | { readonly kind: 'change'; readonly changes: Readonly<Record<string, string | undefined>> }
  /** HAProxy serves certificates with these names. */
  | { readonly kind: 'certificates'; readonly names: readonly string[] }
  | { readonly kind: 'reload-by-another' }
  | { readonly kind: 'worker-killed' }
  /** Another program listens on the port of `tcp.db`, or does not any more. */
  | { readonly kind: 'port-taken' }
  | { readonly kind: 'port-freed' }
  | { readonly kind: 'runtime-command'; readonly command: string };

const service = fc.constantFrom('web', 'api', 'tcp.db');
// The last two have one number: see catalog/numbers.
const instance = fc.constantFrom('i-1', 'i:3', 'i_4', 'web-57938', 'web-68781');
const address = fc.tuple(fc.integer({ min: 1, max: 254 }), fc.constantFrom(80, 8080, 65535));
const value = fc.oneof(
  address.map(([d, port]) => `127.0.0.${d}:${port}`),
  fc
    .record({
      address: fc.constantFrom('127.0.0.1', '::1', '127.9.9.9'),
      port: fc.constantFrom(1, 81),
      weight: fc.integer({ min: 0, max: 256 }),
      state: fc.constantFrom('ready', 'draining', 'maintenance'),
    })
    .map((record) => JSON.stringify(record)),
  fc.constantFrom('', 'nonsense', '127.0.0.1:0', '{"address":1}', 'a b:80', '10.0.0.1:80\nserver x'),
);
const policy = fc.constantFrom(
  '{"balance":"leastconn"}',
  '{"hosts":["x.example.com","*.y.example.com"],"paths":["/a","/b/"]}',
  '{"check":{"kind":"none"}}',
  '{"check":{"kind":"http","path":"/health"}}',
  '{"hosts":["x.example.com","*.z.example.com"],"https":{"certificate":"auto","redirect":true}}',
  '{"mode":"gopher"}',
  '{"mode":"tcp","port":PORT}',
);
const challenge = fc
  .constantFrom('x.example.com', 'free.example.com')
  .map((host) => formatChallenge({ host, answer: `t.${'k'.repeat(43)}` }));
const token = fc.constantFrom('t', 'u', 'not a token');
const put = fc.oneof(
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        token,
        fc.option(fc.oneof({ weight: 4, arbitrary: challenge }, { weight: 1, arbitrary: fc.constant('x') })),
      )
      .map(([t, c]) => [challengeKey(t), c ?? undefined] as const),
  },
  { weight: 6, arbitrary: fc.tuple(service, instance, value).map(([s, i, v]) => [`instances/${s}/${i}`, v] as const) },
  { weight: 3, arbitrary: fc.tuple(service, instance).map(([s, i]) => [`instances/${s}/${i}`, undefined] as const) },
  {
    weight: 1,
    arbitrary: fc.tuple(service, fc.option(policy)).map(([s, p]) => [`services/${s}`, p ?? undefined] as const),
  },
);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .array(put, { minLength: 1, maxLength: 6 })
      .map((puts): Act => ({ kind: 'change', changes: Object.fromEntries(puts) })),
  },
  {
    weight: 2,
    arbitrary: fc
      .subarray(['x.example.com', '*.example.com', 'a.z.example.com', 'unused.example.org'])
      .map((names): Act => ({ kind: 'certificates', names })),
  },
  { weight: 1, arbitrary: fc.constant<Act>({ kind: 'reload-by-another' }) },
  { weight: 1, arbitrary: fc.constant<Act>({ kind: 'worker-killed' }) },
  { weight: 2, arbitrary: fc.constantFrom<Act>({ kind: 'port-taken' }, { kind: 'port-freed' }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        ...['set server web/i-1 weight 3', 'set server web/i-1 state maint', 'add map ROUTES stray/ web'],
        ...['add map ROUTES CERTIFICATE:stray.example.com _acme', 'add map ROUTES stray/ _acme/t.x'],
      )
      .map((command): Act => ({ kind: 'runtime-command', command })),
  },
);

let balancer: TestBalancer;
let port: number;
let taken: Server | undefined;
beforeAll(async () => {
  port = await freePort();
  balancer = await startBalancer({ retryMs: 100, baseSettings: { acme: true } });
  balancer.snapshot({});
  await balancer.balancer.start();
});
afterEach((context) => {
  if (context.task.result?.state === 'fail') process.stderr.write(balancer.lines.slice(-200).join(''));
});
afterAll(async () => {
  await freed();
  await balancer.stop();
});

/** The servers and routes that HAProxy itself lists, in the form of `wanted`. */
async function actual(): Promise<{ servers: readonly string[]; routes: readonly string[] }> {
  const { servers, routes } = await balancer.link.inspect();
  const { pendingRemovals } = balancer.balancer.status();
  // Some versions cannot delete servers: those that left stay there, in maintenance.
  const left = (at: string, disabled: boolean) =>
    !balancer.link.abilities.deletes && disabled && pendingRemovals.has(at);
  return {
    servers: [...servers]
      // Not of a service: see templates/haproxy.cfg.mustache.
      .filter(([backend]) => backend !== '_successor')
      .flatMap(([backend, all]) =>
        [...all]
          .filter(([name, s]) => !left(`${backend}/${name}`, s.disabled))
          .map(([name, s]) => `${backend}/${name} ${s.host} ${s.port} ${s.weight} ${s.disabled}`),
      )
      .sort(),
    routes: [...routes].map((route) => route.join(' ')).sort(),
  };
}

/** The servers and routes that the catalog asks for, computed from the rendered lines. */
function wanted(): { servers: readonly string[]; routes: readonly string[] } {
  const { served, catalog } = balancer.balancer.status();
  const servers = [];
  // Most instances of a service may happen to go at once: the guard then holds them, and that is what is wanted.
  for (const { name, instances } of balancer.guarding.guarded(catalog).services.values()) {
    for (const id of instances.keys()) {
      const line = parseServerLine(served.backends.get(name)?.servers.get(id) ?? '');
      servers.push(`${name}/${id} ${line?.host} ${line?.port} ${line?.weight} ${line?.disabled}`);
    }
  }
  return { servers: servers.sort(), routes: [...served.routes].map((route) => route.join(' ')).sort() };
}

/** The routes to answers that the challenges of the registry ask for. */
const answersWanted = (): readonly string[] =>
  [...balancer.balancer.status().catalog.challenges]
    .map(([name, one]) => `${one.host}/.well-known/acme-challenge/${name}/ _acme/${one.answer}`)
    .sort();

async function freed(): Promise<void> {
  await new Promise<void>((resolve) => (taken === undefined ? resolve() : taken.close(() => resolve())));
  taken = undefined;
}

async function perform(step: Act): Promise<void> {
  switch (step.kind) {
    case 'change':
      balancer.change(
        Object.fromEntries(
          Object.entries(step.changes).map(([key, text]) => [key, text?.replace('PORT', String(port))]),
        ),
      );
      break;
    case 'certificates':
      balancer.balancer.certify(new Set(step.names));
      break;
    case 'port-taken':
      // HAProxy may have it.
      taken ??= await new Promise<Server | undefined>((resolve) => {
        const server = createServer();
        server.once('error', () => resolve(undefined));
        server.listen(port, '127.0.0.1', () => resolve(server));
      });
      break;
    case 'port-freed':
      await freed();
      break;
    case 'reload-by-another':
      // Refused while a killed one is starting again.
      await balancer.haproxy.reload().catch(() => undefined);
      break;
    case 'worker-killed': {
      const processes = await balancer.haproxy.processes();
      if (processes?.workerPid !== undefined) signal(processes.workerPid, 'SIGKILL');
      break;
    }
    case 'runtime-command': {
      const command = step.command.replace('ROUTES', balancer.paths.routesMap);
      // The worker may just be starting again.
      await until('the command is taken', async () => (await balancer.command(command)).length > 0);
      balancer.balancer.watch.onLost('the test asks for an inspection');
      break;
    }
  }
}

test('after any history HAProxy, the files and the registry say the same', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 12 }), async (history) => {
      for (const step of history) await perform(step);
      await freed();
      await until('nobody is held', () => balancer.balancer.status().quarantined.length === 0);
      await until(
        'HAProxy serves what is wanted',
        async () => {
          const { pending, refused } = balancer.balancer.status();
          if (pending.length > 0) throw new Error(`a reload waits: ${JSON.stringify({ pending, refused })}`);
          const [is, should] = [await actual(), wanted()];
          try {
            expect(is).toEqual(should);
            expect(is.routes.filter((route) => route.includes(' _acme/'))).toEqual(answersWanted());
            return true;
          } catch (cause) {
            throw new Error(`HAProxy differs: ${JSON.stringify({ is, should })}`, { cause });
          }
        },
        { deadlineMs: 15_000, everyMs: 20 },
      );
      await until('the file agrees', async () => {
        const config = await balancer.config();
        const ofServices = config.replace(/^(?:backend _successor|peers _rates).*\n(?: .*\n|\n)*/gm, '');
        const inFile = [...ofServices.matchAll(/^ {4}(server .*)$/gm)].map(([, line]) => line);
        const { served } = balancer.balancer.status();
        const believed = [...served.backends.values()].flatMap((backend) => [...backend.servers.values()]);
        return inFile.sort().join('\n') === believed.sort().join('\n');
      });
    }),
    {
      numRuns: Number(process.env['HISTORIES'] ?? (isNightly ? 30 : 6)),
      endOnFailure: true,
      ...(process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }),
    },
  );
});
