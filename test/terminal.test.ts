import { expect, test } from 'vitest';
import { startApp, startApps } from './support/app.ts';
import { freePorts } from './support/ports.ts';
import { startScenario } from './support/scenario.ts';
import { startOnTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';

const escapes = /\u001b/;
const simple = [
  ['NO_COLOR', { NO_COLOR: '1' }],
  ['TERM=dumb', { TERM: 'dumb' }],
] as const;

test('on a terminal of 80 columns what is down comes first, and events and register speak in sentences', async () => {
  const scenario = await startScenario('folder');
  const app = await startApp('b');
  const [a = ''] = await startApps('a');
  const [nobody = 0] = await freePorts(1);
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/web/b', app.address);
  await scenario.writeByHand('services/web', JSON.stringify({ check: { kind: 'tcp', interval: '200ms' } }));
  const balancer = scenario.balancer('--id', 'edge-1');
  await scenario.serves('web', ['a', 'b']);
  await app.close();
  await balancer.logged('server-down');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];

  const status = startOnTerminal(['status', 'web', ...where]);
  expect(await status.ended).toBe(0);
  expect(status.lines[2]).toBe('DOWN');
  expect(status.lines[3]).toMatch(/^ {2}web\/b is down for \S+: connection refused$/);
  expect(status.output).toMatch(escapes);

  const events = startOnTerminal(['events', ...where]);
  expect(await events.ended).toBe(0);
  expect(events.lines.join('\n')).toMatch(/^[\d:.]{12} WARN server-down {2}web\/b is down: connection refused$/m);
  expect(events.lines.join('\n')).toMatch(/^[\d:.]{12} applied {2}HAProxy serves revision \d+ after \S+s/m);

  const register = ['register', ...where.slice(0, 2), '--service', 'web', '--id', 'c', '--address', a];
  for (const [, env] of [['', {}], ...simple] as const) {
    const registering = startOnTerminal(register, env);
    await registering.shows('announced web/c at');
    registering.type('\u0003');
    expect(await registering.ended).toBe(0);
    expect(registering.lines.join('\n')).toMatch(/^[\d:.]{12} leaving {2}web\/c: leaving because of SIGINT$/m);
    expect(escapes.test(registering.output)).toBe(Object.keys(env).length === 0);
    for (const line of registering.lines) expect(line.length).toBeLessThanOrEqual(80);
  }
  for (const [, env] of simple) {
    const shown = startOnTerminal(['status', ...where], env);
    expect(await shown.ended).toBe(0);
    expect(shown.output).not.toMatch(escapes);
    expect(shown.lines.join('\n')).toMatch(/web\/b is down/);
  }
  for (const line of [...status.lines, ...events.lines]) expect(line.length).toBeLessThanOrEqual(80);

  // Nobody is registered by this name, so the command waits to its deadline.
  const wait = ['wait', 'web/nobody', ...where.slice(0, 2), '--timeout', '2s'];
  const moving = startOnTerminal(wait);
  await moving.shows(/\r\u001b\[2K.*web\/nobody: /);
  expect(await moving.ended).toBe(1);
  expect(moving.lines.filter((line) => line !== '')).toEqual([expect.stringMatching(/^pointsman: web\/nobody: /)]);
  const dumb = startOnTerminal(wait, { TERM: 'dumb' });
  expect(await dumb.ended).toBe(1);
  expect(dumb.output).not.toMatch(escapes);
  expect(dumb.lines[0]).toMatch(/^web\/nobody: /);

  const silent = startOnTerminal(['drain', 'web', '--registry', `etcd://127.0.0.1:${nobody}`], { TERM: 'dumb' });
  await silent.shows(`waiting for an answer of etcd://127.0.0.1:${nobody}`);
  silent.type('\u0003');
  await until('it ended', () => silent.ended.then(() => true));
});
