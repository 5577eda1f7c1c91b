import { describe, expect, test } from 'vitest';
import { Fault } from '../model/fault.ts';
import { parseServiceName } from '../model/name.ts';
import type { RolloutOrder } from './refusal.ts';
import { type RolloutEnd, rollOut } from './roll-out.ts';
import type { RemovalResult, RolloutHost, StepResult } from './rollout-host.ts';
import type { ServingContainer } from './service-containers.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error('web is a name');
const service = web.value;
const container = (name: string, active = true): ServingContainer => ({
  id: `id of ${name}`,
  name,
  active,
  services: [service],
});
/** `a -b`: a runs, b is stopped. */
const containers = (text: string) => text.split(' ').filter(Boolean).map((name) => container(name.replace('-', ''), !name.startsWith('-'))); // biome-ignore format: one idea

type Steps = 'containers' | 'command' | 'served' | 'others' | 'alone' | 'drain' | 'undrain';

type Script = {
  readonly before: string;
  readonly after: string;
  /** What the engine lists from the second look after the command on. */
  readonly later?: string;
  readonly order?: RolloutOrder;
  readonly create?: boolean;
  readonly exitCode?: number;
  readonly served?: StepResult;
  readonly others?: StepResult;
  /** Of each drain in turn. */
  readonly drained?: readonly StepResult[];
  /** Of each look for another rollout in turn. */
  readonly alone?: readonly StepResult[];
  /** What the engine answers to each removal in turn, and the containers that it lists from then on. */
  readonly removed?: readonly (readonly [RemovalResult, string])[];
  /** The steps that reject, by their names and turns: `drain 1`, or `containers 3…` for the third and each later one. */
  readonly silent?: readonly (`${Steps} ${number}` | `${Steps} ${number}…`)[];
};

const fine = { ok: true } as const;
const not = (because: string): StepResult => ({ ok: false, because });
const silence = new Fault('engine', 'connect ENOENT', { where: 'unix:///e' });
const until = Date.parse('2026-01-31T09:30:00Z');

/** Runs a rollout on a host that does as the script says, and lists its steps. */
async function run(script: Script): Promise<{ readonly steps: readonly string[]; readonly end: RolloutEnd }> {
  const steps: string[] = [];
  const [drained, alone, removed] = [
    [...(script.drained ?? [])],
    [...(script.alone ?? [])],
    [...(script.removed ?? [])],
  ];
  let now = containers(script.before);
  let later: string | undefined;
  const turns = new Map<Steps, number>();
  const drains = new Set<string>();
  const ask = (kind: Steps) => {
    const turn = (turns.get(kind) ?? 0) + 1;
    turns.set(kind, turn);
    const isSilent = script.silent?.some((one) => {
      const [name, from = ''] = one.split(' ');
      return name === kind && (from.endsWith('…') ? turn >= Number(from.slice(0, -1)) : turn === Number(from));
    });
    if (isSilent === true) throw silence;
  };
  const step = (kind: string, of: readonly ServingContainer[]) => {
    steps.push([kind, ...of.map(({ name }) => name)].join(' '));
  };
  const undrained = (of: readonly ServingContainer[]) => {
    for (const { id } of of) drains.delete(id);
  };
  const host: RolloutHost = {
    async containers() {
      ask('containers');
      const seen = now;
      if (later !== undefined) now = containers(later);
      later = undefined;
      return seen;
    },
    services: async () => ['web', 'api'],
    async runCommand(scale) {
      steps.push(`command for ${scale}`);
      ask('command');
      now = containers(script.after);
      later = script.later;
      return script.exitCode ?? 0;
    },
    async served(of) {
      step('served', of);
      ask('served');
      return script.served ?? fine;
    },
    async othersServe() {
      steps.push('others serve');
      ask('others');
      return script.others ?? fine;
    },
    async alone() {
      ask('alone');
      return alone.shift() ?? fine;
    },
    async drain(of) {
      step('drain', of);
      for (const { id } of of) drains.add(id);
      ask('drain');
      return drained.shift() ?? fine;
    },
    drainEnds: ({ id }) => (drains.has(id) ? until : undefined),
    async undrain(of) {
      step('undrain', of);
      ask('undrain');
      undrained(of);
    },
    async remove(of) {
      step('remove', of);
      const [result, left] = removed.shift() ?? [fine, undefined];
      now = left === undefined ? now.filter(({ id }) => of.every((one) => one.id !== id)) : containers(left);
      return result;
    },
    async forget(of) {
      step('forget', of);
      undrained(of);
    },
    goesBack: () => undefined,
  };
  const plan = { service, order: script.order ?? 'start-first', create: script.create ?? false };
  const end = await rollOut(host, plan, () => undefined);
  // Each removal is followed by this one.
  return {
    steps: steps.filter((one, at) => !(one.startsWith('forget') && steps[at - 1] === one.replace('forget', 'remove'))),
    end,
  };
}

describe('a rollout that starts first', () => {
  test('serves the new containers before it drains the old ones, and drains them before it removes them', async () => {
    const { steps, end } = await run({ before: 'a b', after: 'a b c d' });
    expect(steps).toEqual(['command for 4', 'served c d', 'drain a b', 'remove a b']);
    expect(end).toEqual({ kind: 'done', started: ['c', 'd'], removed: ['a', 'b'] });
  });

  test('changes nothing while a stopped container could be started again with the old version', async () => {
    const { steps, end } = await run({ before: 'a -b', after: 'a b' });
    expect(steps).toEqual([]);
    expect(end).toMatchObject({ kind: 'refused', because: expect.stringContaining('docker rm b') });
  });

  test('starts the first containers of a service only when it is told to', async () => {
    expect((await run({ before: '', after: 'a', create: true })).steps).toEqual(['command for 1', 'served a']);
    const { steps, end } = await run({ before: '', after: 'a' });
    expect(steps).toEqual([]);
    expect(end).toMatchObject({ kind: 'refused', because: expect.stringContaining('(there are: api, web)') });
  });

  test('leaves nothing behind when the first containers of a service are not served', async () => {
    const { end } = await run({ before: '', after: 'a', create: true, served: not('late') });
    expect(end).toMatchObject({ kind: 'back', because: 'late', serving: [] });
  });

  test('goes back when the new containers are not served, and leaves the old ones alone', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', served: not('b has ended') });
    expect(steps).toEqual(['command for 2', 'served b', 'drain b', 'remove b']);
    expect(end).toMatchObject({ kind: 'back', because: 'b has ended', serving: ['a'] });
  });

  test('gives the old containers their requests again when they cannot be drained', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', drained: [not('lb-1 has 2 open requests')] });
    expect(steps).toEqual(['command for 2', 'served b', 'drain a', 'undrain a', 'drain b', 'remove b']);
    expect(end.kind).toBe('back');
  });

  test('does not stop new containers that have open requests, although it goes back', async () => {
    const open = not('lb-1 has 2 open requests');
    const { steps, end } = await run({ before: 'a', after: 'a b', served: not('late'), drained: [open] });
    expect(steps.slice(2)).toEqual(['drain b', 'undrain b']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: 'late; the new containers could not leave: lb-1 has 2 open requests',
      now: 'a runs; b runs',
      todo: 'to go back, remove the new containers: `docker rm --force b`',
    });
  });

  test('removes what a command started that failed', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', exitCode: 17 });
    expect(steps).toEqual(['command for 2', 'drain b', 'remove b']);
    expect(end).toMatchObject({ kind: 'back', because: 'the command ended with 17' });
  });

  test('fails when the command starts nothing', async () => {
    const { end } = await run({ before: 'a', after: 'a' });
    expect(end).toMatchObject({ kind: 'back', because: 'the command started no new container' });
  });

  test('fails at its end when the command itself stopped old containers, whose requests nobody waited for', async () => {
    const { steps, end } = await run({ before: 'a b', after: 'b c' });
    expect(steps).toEqual(['command for 4', 'forget a', 'served c', 'drain b', 'remove b']);
    const because = 'the command itself stopped a, so requests may have failed';
    expect(end).toMatchObject({ kind: 'stuck', because, now: 'a was stopped by the command; b was removed; c runs' });
  });

  test('never stops the new containers when the command itself stopped old ones', async () => {
    const { steps, end } = await run({ before: 'a', after: 'b', served: not('late') });
    expect(steps).toEqual(['command for 2', 'forget a', 'served b', 'forget a']);
    expect(end).toMatchObject({ kind: 'stuck', because: 'late', now: 'a was stopped by the command; b runs' });
  });
});

describe('a rollout in trouble', () => {
  test('does not remove the old containers when a new one ended while they were drained', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', later: 'a -b' });
    expect(steps).toEqual(['command for 2', 'served b', 'drain a', 'undrain a', 'drain b', 'remove b']);
    expect(end).toMatchObject({ kind: 'back', because: 'b ended while the old ones were drained', serving: ['a'] });
  });

  test('is refused while the engine does not answer', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', silent: ['containers 1'] });
    expect(steps).toEqual([]);
    expect(end).toMatchObject({ kind: 'refused', because: 'unix:///e: connect ENOENT' });
  });

  test('goes back when a step before the first stop fails, and the engine answers again', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', silent: ['containers 3'] });
    expect(steps).toEqual(['command for 2', 'served b', 'drain a', 'undrain a', 'drain b', 'remove b']);
    expect(end).toMatchObject({ kind: 'back', because: 'unix:///e: connect ENOENT', serving: ['a'] });
  });

  test('gives the old containers their requests again and names the new ones when the engine does not answer any more', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', silent: ['containers 3…'] });
    expect(steps).toEqual(['command for 2', 'served b', 'drain a', 'undrain a']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: 'unix:///e: connect ENOENT; going back failed: unix:///e: connect ENOENT',
      now: 'a runs; b runs (as seen before the engine stopped answering)',
      todo: 'when the engine answers again: to go back, remove the new containers: `docker rm --force b`',
    });
  });

  test('says until when the old containers are drained when the registry does not answer any more', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', drained: [not('late')], silent: ['undrain 1'] });
    expect(steps).toEqual(['command for 2', 'served b', 'drain a', 'undrain a']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: 'late; going back failed: unix:///e: connect ENOENT',
      now: 'a runs, drained until 2026-01-31T09:30:00Z; b runs',
      todo: 'to go back, remove the new containers: `docker rm --force b`; `pointsman undrain` ends a drain before its time',
      containers: [
        { container: 'a', age: 'old', state: 'runs', drainedUntil: '2026-01-31T09:30:00Z' },
        { container: 'b', age: 'new', state: 'runs' },
      ],
    });
  });

  test('does not know what the command did when the engine does not answer after it', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', silent: ['containers 2…'] });
    expect(steps).toEqual(['command for 2']);
    expect(end).toMatchObject({
      kind: 'stuck',
      now: 'a runs (as seen before the engine stopped answering)',
      todo: 'when the engine answers again: look for new containers of the service, and remove them',
    });
  });

  test('is done when the containers are gone although the engine did not answer that it removed them', async () => {
    const removed = [[{ ok: false, because: 'reset', refused: false }, 'b']] as const;
    expect((await run({ before: 'a', after: 'a b', removed })).end).toEqual({
      kind: 'done',
      started: ['b'],
      removed: ['a'],
    });
  });

  test('names what it removed and what not when the engine fails in between', async () => {
    const removed = [[{ ok: false, because: 'reset', refused: false }, '-b c d']] as const;
    const { steps, end } = await run({ before: 'a b', after: 'a b c d', removed });
    expect(steps.slice(3)).toEqual(['remove a b', 'forget a']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: 'reset',
      now: 'a was removed; b does not run, drained until 2026-01-31T09:30:00Z; c, d run',
      todo: 'to finish, remove the old containers: `docker rm --force b`; `pointsman undrain` ends a drain before its time',
    });
  });

  test('does not send requests to containers that may have been stopped', async () => {
    const removed = [[{ ok: false, because: 'reset', refused: false }, 'b']] as const;
    const { steps, end } = await run({ before: 'a', after: 'a b', removed, silent: ['containers 4…'] });
    expect(steps.slice(2)).toEqual(['drain a', 'remove a']);
    expect(end).toMatchObject({
      kind: 'stuck',
      now: 'a runs, drained until 2026-01-31T09:30:00Z; b runs (as seen before the engine stopped answering)',
      todo: expect.stringMatching(/^when the engine answers again: to finish, remove the old containers/),
    });
  });

  test('goes back when the engine refuses to stop the old containers', async () => {
    const removed = [[{ ok: false, because: '403', refused: true }, 'a b']] as const;
    const { steps, end } = await run({ before: 'a', after: 'a b', removed });
    expect(steps.slice(3)).toEqual(['remove a', 'undrain a', 'drain b', 'remove b']);
    expect(end).toMatchObject({ kind: 'back', because: '403', serving: ['a'] });
  });

  test('lets all containers serve when the engine refuses to stop any', async () => {
    const refusal = [{ ok: false, because: '403', refused: true }, 'a b'] as const;
    const { steps, end } = await run({ before: 'a', after: 'a b', removed: [refusal, refusal] });
    expect(steps.slice(3)).toEqual(['remove a', 'undrain a', 'drain b', 'remove b', 'undrain b']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: '403; the new containers could not leave: 403',
      now: 'a runs; b runs',
    });
  });

  test('removes nothing after another rollout has begun', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', alone: [fine, not('another one')] });
    expect(steps.slice(2)).toEqual(['drain a', 'undrain a']);
    expect(end).toMatchObject({
      kind: 'stuck',
      because: 'another one',
      now: 'a runs; b runs',
      todo: 'wait until the other rollout has ended, and look at the containers then',
    });
  });

  test('does not begin when another rollout has begun since that of the host before', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', alone: [not('another one')] });
    expect(steps).toEqual([]);
    expect(end).toEqual({ kind: 'refused', because: 'another one' });
  });

  test('does not remove the new containers either after another rollout has begun', async () => {
    const { steps, end } = await run({
      before: 'a',
      after: 'a b',
      served: not('late'),
      alone: [fine, not('another one')],
    });
    expect(steps.slice(2)).toEqual(['drain b', 'undrain b']);
    expect(end).toMatchObject({ kind: 'stuck', because: 'late; the new containers could not leave: another one' });
  });

  test('passes on what a step rejected with', async () => {
    const { end } = await run({ before: 'a', after: 'a b', silent: ['served 1'] });
    expect(end).toMatchObject({ kind: 'back', error: silence });
  });
});

describe('a rollout that stops first', () => {
  const order = 'stop-first';

  test('drains the old containers before the command, while others serve, and ends the drain before it waits', async () => {
    const { steps, end } = await run({ order, before: 'a b', after: 'c d' });
    expect(steps).toEqual(['others serve', 'drain a b', 'command for 2', 'forget a b', 'served c d']);
    expect(end).toEqual({ kind: 'done', started: ['c', 'd'], removed: ['a', 'b'] });
  });

  test('removes drained containers that the command left', async () => {
    const { steps } = await run({ order, before: 'a b', after: 'b c' });
    expect(steps.slice(3)).toEqual(['forget a', 'served c', 'remove b']);
  });

  test('drains a stopped container that the command started again before it removes it', async () => {
    const { steps } = await run({ order, before: 'a -b', after: 'b c' });
    expect(steps.slice(3)).toEqual(['forget a', 'served c', 'drain b', 'remove b']);
  });

  test('changes nothing when nobody else serves', async () => {
    const { steps, end } = await run({ order, before: 'a', after: 'b', others: not('no other instance') });
    expect(steps).toEqual(['others serve']);
    expect(end).toEqual({ kind: 'refused', because: 'no other instance' });
  });

  test('does not run the command when the old containers cannot be drained', async () => {
    const { steps, end } = await run({ order, before: 'a', after: 'b', drained: [not('open')] });
    expect(steps).toEqual(['others serve', 'drain a', 'undrain a']);
    expect(end).toMatchObject({ kind: 'back', because: 'open' });
  });

  test('ends the drain and does not run the command when another rollout has begun', async () => {
    const { steps, end } = await run({ order, before: 'a', after: 'b', alone: [fine, not('another one')] });
    expect(steps).toEqual(['others serve', 'drain a', 'undrain a']);
    expect(end).toMatchObject({ kind: 'back', because: 'another one' });
  });

  test('does not send requests to containers of which nobody knows whether the command stopped them', async () => {
    const { steps, end } = await run({ order, before: 'a', after: 'b', silent: ['containers 2…'] });
    expect(steps).toEqual(['others serve', 'drain a', 'command for 1']);
    expect(end).toMatchObject({ kind: 'stuck', now: expect.stringContaining('drained until 2026-01-31T09:30:00Z') });
  });
});
