import { describe, expect, test } from 'vitest';
import { ask } from './support/ask.ts';
import { startBalancers } from './support/balancers.ts';
import { startFakeEngine, startingCommand } from './support/fake-engine.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

/** Two balancers that serve the containers of one engine. */
async function start(...names: readonly string[]) {
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
function load(ports: readonly number[]) {
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
async function openRequest(
  balancers: readonly { readonly http: number }[],
  engine: Awaited<ReturnType<typeof startFakeEngine>>,
) {
  const answer = ask(balancers[0]?.http ?? 0, 'web', '/slow', { deadlineMs: 60_000 });
  await until('the request is open', () => engine.slow() === 1);
  // Not the promise itself, which the caller would wait for.
  return { answer };
}

describe('rollout', () => {
  test('replaces containers under load without a failed request', async () => {
    const { balancers, engine, serves, run, overrides } = await start('a', 'b');
    const end = load(balancers.map(({ http }) => http));
    const ended = await run('rollout', 'web', '--', ...startingCommand('c', 'd'));
    const { requests, failures } = await end();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(50);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    expect(ended.stdout).toEqual([
      'running the command, with ROLLOUT_SCALE=4',
      'the command started c, d',
      'every balancer serves c, d',
      'draining a, b',
      'stopped and removed a, b',
      'done',
    ]);
    await serves('c', 'd');
    expect(engine.running()).toEqual(['c', 'd']);
    expect(await overrides()).toEqual([]);
  });

  test('goes back when a new container is not served in time', async () => {
    const { engine, serves, run, overrides } = await start('a');
    const ended = await run('rollout', 'web', '--timeout', '1s', '--', ...startingCommand('b&sick'));
    expect(ended.code).toBe(1);
    expect(ended.stdout.at(-1)).toBe(
      'not served within 1s: the health check of b says starting; the old containers serve as before',
    );
    expect(engine.calls).toEqual(['stop b', 'remove b']);
    await serves('a');
    expect(await overrides()).toEqual([]);
  });

  test('goes back when a request of an old container does not end in time', async () => {
    const { balancers, engine, run, overrides } = await start('a');
    const { answer } = await openRequest(balancers, engine);
    const ended = await run('rollout', 'web', '--drain-timeout', '1s', '--json', '--', ...startingCommand('c'));
    expect(ended.code).toBe(1);
    const events = ended.stdout.map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({
      event: 'back',
      because: expect.stringContaining('lb-1 has 1 open request (web/h-a)'),
    });
    expect(engine.running()).toEqual(['a']);
    expect(await overrides()).toEqual([]);
    engine.answerSlow();
    expect(await answer).toMatchObject({ status: 200, body: 'a' });
  });

  test('goes back at a signal', async () => {
    const { engine, serves, begin, overrides } = await start('a');
    const running = begin('rollout', 'web', '--', ...startingCommand('b&sick'));
    await running.printed('the command started b');
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(1);
    expect(running.stdout.at(-1)).toBe('a signal stopped the command; the old containers serve as before');
    expect(engine.running()).toEqual(['a']);
    await serves('a');
    expect(await overrides()).toEqual([]);
  });

  test('replaces the containers of several engines one after the other, drained before the command', async () => {
    const { world, balancers, engine, serves, run } = await start('a');
    const other = await startFakeEngine(world.registry, world.dir, 'i');
    await other.start('b');
    await serves('a', 'b');
    const end = load(balancers.map(({ http }) => http));
    const second = ['--engine', other.address];
    const ended = await run('rollout', 'web', ...second, '--order', 'stop-first', '--', ...startingCommand('c'));
    expect((await end()).failures).toEqual([]);
    expect(ended).toMatchObject({ code: 0, stderr: [] });
    expect([...engine.calls, ...other.calls]).toEqual(['stop a', 'remove a', 'stop b', 'remove b']);
    const at = (text: string) => ended.stdout.findIndex((line) => line.includes(text));
    expect(at('draining a')).toBeLessThan(at('started c'));
    expect(at('removed a')).toBeLessThan(at('draining b'));
  });

  test('changes nothing where no other host serves and the containers are to be stopped first', async () => {
    const { engine, serves, run } = await start('a');
    const ended = await run('rollout', 'web', '--order', 'stop-first', '--', ...startingCommand('b'));
    expect(ended.code).toBe(1);
    expect(ended.stdout.at(-1)).toContain('no instance of web on another host takes requests');
    expect(engine.running()).toEqual(['a']);
    await serves('a');
  });
});

describe('stop', () => {
  test('drains a container before the engine stops it', async () => {
    const { balancers, engine, serves, run, overrides } = await start('a', 'b');
    const end = load(balancers.map(({ http }) => http));
    expect(await run('stop', 'a')).toMatchObject({ code: 0, stderr: [], stdout: ['a: drained and stopped'] });
    expect((await end()).failures).toEqual([]);
    expect(engine.calls).toEqual(['stop a']);
    await serves('b');
    expect(await overrides()).toEqual([]);
  });

  test('stops nothing while a request is open, unless it is forced to', async () => {
    const { balancers, engine, run, overrides } = await start('a');
    const { answer } = await openRequest(balancers, engine);
    const kept = await run('stop', 'a', '--drain-timeout', '500ms');
    expect(kept.code).toBe(1);
    expect(kept.stderr.at(-1)).toContain('nothing was stopped: not drained within 500ms: lb-1 has 1 open request');
    expect(engine.calls).toEqual([]);
    expect(await overrides()).toEqual([]);
    expect(await run('stop', 'a', '--drain-timeout', '500ms', '--force')).toMatchObject({ code: 0 });
    expect(engine.calls).toEqual(['stop a']);
    expect((await answer).status).not.toBe(200);
  });

  test('names a container that does not exist, and stops none of the others', async () => {
    const { engine, run } = await start('a');
    const ended = await run('stop', 'a', 'z');
    expect(ended.code).toBe(1);
    expect(ended.stderr.at(-1)).toContain('there is no container z');
    expect(engine.calls).toEqual([]);
  });
});
