import { describe, expect, test } from 'vitest';
import { startFakeEngine, startingCommand } from './support/fake-engine.ts';
import { load, openRequest, startRollouts as start } from './support/rollouts.ts';
import { until } from './support/until.ts';

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
    await serves('b');
    expect(await run('stop', 'a')).toMatchObject({
      code: 0,
      stderr: [],
      stdout: ['a: was not running, so there was nothing to stop'],
    });
    expect(engine.calls).toEqual(['stop a']);
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

  test('names a balancer that stops answering during the drain', async () => {
    const { world, begin, overrides } = await start('a');
    const balancer = world.registry.openSession({ ttlMs: 60_000, mayReplace: () => true, onEvent: () => undefined });
    await balancer.put('balancers/lb-3', '{"format":1}');
    const stopping = begin('stop', 'a', '--json');
    await until('the container is drained', async () => (await overrides()).length === 1);
    await balancer.close();
    expect((await stopping.ended).code).toBe(0);
    expect(JSON.parse(stopping.stdout.join(''))).toMatchObject({
      outcome: 'stopped',
      drained: false,
      vanished: ['lb-3'],
    });
    expect(stopping.stderr.join('')).toContain('lb-3 stopped answering before it confirmed the drain');
  });

  test('names a container that does not exist, and stops none of the others', async () => {
    const { engine, run } = await start('a');
    const ended = await run('stop', 'a', 'z');
    expect(ended.code).toBe(1);
    expect(ended.stderr.at(-1)).toContain('there is no container z');
    expect((await run('stop', 'a', '')).stderr.at(-1)).toContain('there is no container ""');
    expect(engine.calls).toEqual([]);
  });
});
