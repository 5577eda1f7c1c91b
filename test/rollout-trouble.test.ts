import { describe, expect, test } from 'vitest';
import { readService } from '../src/operate/target.ts';
import { lockRollout } from '../src/rollout/rollout-lock.ts';
import { startBalancers } from './support/balancers.ts';
import { startFakeEngine, startingCommand } from './support/fake-engine.ts';
import { runPointsman } from './support/processes.ts';
import { openRequest, startRollouts } from './support/rollouts.ts';
import { until } from './support/until.ts';

// The engine and the registry are asked for 30 s before a rollout gives up.
const patience = { deadlineMs: 60_000 };
const minute = 60_000;

/** Runs a rollout that replaces `a` by `b`, up to the drain of `a`, of which a request is open. */
async function startDraining(...more: readonly string[]) {
  const world = await startRollouts('a');
  const request = await openRequest(world.balancers, world.engine);
  const running = world.begin('rollout', 'web', '--json', ...more, '--', ...startingCommand('b'));
  await until('a is drained', async () => (await world.overrides()).length === 1);
  const end = async () => {
    const { code } = await running.ended;
    return { code, end: JSON.parse(running.stdout.at(-1) ?? ''), stderr: running.stderr };
  };
  return { ...world, ...request, running, end };
}

describe('a rollout', () => {
  test('goes on when the engine does not answer for some seconds', async () => {
    const { engine, answer, end } = await startDraining();
    engine.setAway(true);
    engine.answerSlow();
    await answer;
    await until('the engine was asked again', () => engine.unanswered() > 3, patience);
    engine.setAway(false);
    expect(await end()).toMatchObject({ code: 0, end: { event: 'done', started: ['b'], removed: ['a'] } });
    expect(engine.running()).toEqual(['b']);
  });

  test('gives the old containers their requests again when the engine stays away, and names the new ones', {
    timeout: 2 * minute,
  }, async () => {
    const { engine, answer, end, serves, overrides } = await startDraining();
    await engine.close();
    engine.answerSlow();
    await answer;
    expect(await end()).toMatchObject({
      code: 1,
      end: {
        event: 'stuck',
        because: expect.stringMatching(/ENOENT.*; going back failed: /),
        now: 'a runs; b runs (as seen before the engine stopped answering)',
        todo: expect.stringContaining('docker rm --force b'),
      },
    });
    expect(await overrides()).toEqual([]);
    await serves('a', 'b');
  });

  test('goes back when the registry is unavailable for some seconds while the old containers are drained', {
    timeout: 2 * minute,
  }, async () => {
    const { world, engine, answer, running, end, serves, overrides } = await startDraining('--drain-timeout', '2s');
    await world.etcd?.members[0]?.stop();
    await running.printed('"going-back"');
    world.etcd?.members[0]?.start();
    const { code, end: last } = await end();
    expect({ code, last }).toMatchObject({
      code: 1,
      last: { event: 'back', because: expect.stringContaining('the registry does not answer'), serving: ['a'] },
    });
    engine.answerSlow();
    await answer;
    await serves('a');
    expect(await overrides()).toEqual([]);
  });

  test('says until when containers are drained when the registry stays unavailable', {
    timeout: 3 * minute,
  }, async () => {
    const { world, end } = await startDraining('--drain-timeout', '2s');
    await world.etcd?.members[0]?.stop();
    const { code, end: last, stderr } = await end();
    expect({ code, last }).toMatchObject({
      code: 1,
      last: {
        event: 'stuck',
        because: expect.stringMatching(/not drained within 2s: the registry does not answer.*; going back failed: /),
        containers: [
          { container: 'a', age: 'old', state: 'runs', drainedUntil: expect.stringMatching(/Z$/) },
          { container: 'b', age: 'new', state: 'runs' },
        ],
      },
    });
    expect(stderr.join('\n')).toContain('still drained: web/h-a until');
  });

  test('runs alone, and one that was killed keeps others out only for a while', { timeout: 2 * minute }, async () => {
    const { running, run, engine, answer } = await startDraining();
    const second = await run('rollout', 'web', '--json', '--', ...startingCommand('c'));
    expect(second).toMatchObject({ code: 1 });
    expect(second.stderr.at(-1)).toMatch(/another rollout of web runs, by \S+@\S+ since \d{4}-\d\d-\d\dT/);
    expect(JSON.parse(second.stdout.at(-1) ?? '')).toMatchObject({ event: 'refused' });
    running.kill('SIGKILL');
    await running.ended;
    engine.answerSlow();
    await answer;
    await until('a rollout may begin', async () => (await run('rollout', 'web', '--', ...startingCommand('c'))).code === 0, patience); // biome-ignore format: one wait
  });

  test('takes a lock again whose lease was lost, unless another rollout has it', async () => {
    const world = await startBalancers('etcd');
    const ctl = async (...args: readonly string[]) => (await world.etcd?.ctl(...args)) ?? '';
    const loseLeases = async () => {
      const [, ...ids] = (await ctl('lease', 'list')).split('\n');
      for (const id of ids) await ctl('lease', 'revoke', id);
    };
    const lock = (by: string) => lockRollout(world.registry, readService('web'), { by, since: 0 });
    const first = await lock('ada@desk');
    await loseLeases();
    expect(await first.confirm()).toEqual({ ok: true });
    await loseLeases();
    const second = await lock('bob@desk');
    expect(await first.confirm()).toMatchObject({ ok: false, because: expect.stringContaining('by bob@desk since 1970-01-01T00:00:00Z') }); // biome-ignore format: one line
    await first.release();
    expect(await second.confirm()).toEqual({ ok: true });
    await second.release();
  });

  test('of a service that is mistyped is refused on all engines, unless it is to be created', async () => {
    const { world, engine, run } = await startRollouts('a');
    const other = await startFakeEngine(world.registry, world.dir, 'i');
    const ended = await run('rollout', 'wbe', '--', ...startingCommand('b'));
    expect(ended).toMatchObject({ code: 1, stderr: [] });
    expect(ended.stdout).toEqual([
      'there is no container with the label pointsman.service=wbe (there are: web): correct the name, or start the first containers of a service with --create; nothing was changed',
    ]);
    const empty = await run('rollout', 'web', '--engine', other.address, '--', ...startingCommand('b'));
    expect(empty.stdout[0]).toMatch(/i\.sock: there is no container.*no container has such a label/);
    expect(engine.running()).toEqual(['a']);
    const created = await run('rollout', 'web', '--engine', other.address, '--create', '--json', '--', 'false');
    expect(created.stdout.at(-1)).toContain('"event":"back"');
  });

  test('changes nothing while the registry does not answer, and says so', async () => {
    const { engine } = await startRollouts();
    await engine.start('a');
    const args = ['--registry', 'etcd://127.0.0.1:1', '--engine', engine.address];
    const rollout = await runPointsman(['rollout', ...args, '--json', 'web', '--', ...startingCommand('b')]);
    expect(rollout.code).toBe(1);
    expect(rollout.stderr.at(-1)).toMatch(/etcd:\/\/127\.0\.0\.1:1.*nothing was changed/);
    expect(JSON.parse(rollout.stdout.at(-1) ?? '')).toMatchObject({ event: 'refused' });
    const stop = await runPointsman(['stop', ...args, 'a']);
    expect(stop.code).toBe(1);
    expect(stop.stderr.at(-1)).toMatch(/etcd:\/\/127\.0\.0\.1:1.*nothing was stopped; `docker stop`/);
    expect(engine.running()).toEqual(['a']);
  });

  test('warns when no balancer is alive, and goes back', async () => {
    const { world, engine } = await startRollouts('a');
    const ended = await runPointsman([
      ...['rollout', '--registry', world.location, '--root', '/empty/', '--engine', engine.address],
      ...['--timeout', '1s', 'web', '--', ...startingCommand('b')],
    ]);
    expect(ended.code).toBe(1);
    expect(ended.stderr.join('\n')).toContain('no balancer is alive');
    expect(engine.running()).toEqual(['a']);
  });
});

describe('stop', () => {
  test('sends requests again to a container that the engine refuses to stop', async () => {
    const { engine, serves, run, overrides } = await startRollouts('a', 'b');
    engine.forbid('POST stop');
    const ended = await run('stop', 'a');
    expect(ended.code).toBe(1);
    expect(ended.stdout).toEqual([
      expect.stringMatching(/^a: it runs on, not drained: .*the engine answered 403 to POST/),
    ]);
    await serves('a', 'b');
    expect(await overrides()).toEqual([]);
  });

  test('warns before it stops the last instance of a service', async () => {
    const { run } = await startRollouts('a');
    const ended = await run('stop', 'a', '--json');
    expect(ended.code).toBe(0);
    expect(ended.stderr.join('\n')).toContain('no other instance of web takes requests');
    expect(JSON.parse(ended.stdout[0] ?? '')).toMatchObject({ container: 'a', outcome: 'stopped', last: ['web'] });
  });
});
