import { ask } from './ask.ts';
import { startBalancers } from './balancers.ts';
import { startFakeEngine } from './fake-engine.ts';
import { runPointsman, startPointsman } from './processes.ts';
import { until } from './until.ts';

/** Two balancers that serve the containers of one engine. */
export async function startRollouts(...names: readonly string[]) {
  const world = await startBalancers('etcd');
  const balancers = await Promise.all(['lb-1', 'lb-2'].map((id) => world.balancerNamed(id)));
  const engine = await startFakeEngine(world.registry, world.dir);
  for (const name of names) await engine.start(name);
  const serves = (...wanted: readonly string[]) =>
    until(`web is served by ${wanted.join()}`, async () => {
      for (const { http } of balancers) {
        const bodies = new Set<string>();
        for (let i = 0; i < 12; i += 1) bodies.add((await ask(http, 'web')).body);
        if ([...bodies].sort().join() !== wanted.join()) return false;
      }
      return true;
    });
  if (names.length > 0) await serves(...names);
  const args = (command: string, ...more: readonly string[]) => [
    ...[command, '--registry', world.location, '--engine', engine.address],
    ...more,
  ];
  return {
    ...{ world, balancers, engine, serves },
    run: (command: string, ...more: readonly string[]) => runPointsman(args(command, ...more)),
    begin: (command: string, ...more: readonly string[]) => startPointsman(args(command, ...more)),
    overrides: async () => (await world.registry.read('overrides/')).entries.map(({ key }) => key),
  };
}

/** Sends requests to the balancers, four at a time at each, until it is ended. */
export function load(ports: readonly number[]) {
  let over = false;
  let requests = 0;
  const failures: string[] = [];
  const client = async (port: number) => {
    while (!over) {
      requests += 1;
      const answer = await ask(port, 'web').catch((error: unknown) => ({ status: 0, body: String(error) }));
      if (answer.status !== 200) failures.push(`${answer.status} ${answer.body}`);
    }
  };
  const clients = ports.flatMap((port) => [1, 2, 3, 4].map(() => client(port)));
  return async () => {
    over = true;
    await Promise.all(clients);
    return { requests, failures };
  };
}

/** A request that lb-1 has open until the engine answers it. */
export async function openRequest(
  balancers: readonly { readonly http: number }[],
  engine: Awaited<ReturnType<typeof startFakeEngine>>,
) {
  const answer = ask(balancers[0]?.http ?? 0, 'web', '/slow', { deadlineMs: 60_000 });
  await until('the request is open', () => engine.slow() === 1);
  // Not the promise itself, which the caller would wait for.
  return { answer };
}
