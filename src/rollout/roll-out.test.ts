import { describe, expect, test } from 'vitest';
import { parseServiceName } from '../model/name.ts';
import { type RolloutEnd, type RolloutHost, type RolloutOrder, rollOut, type StepResult } from './roll-out.ts';
import type { ServingContainer } from './service-containers.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error('web is a name');
const container = (name: string, active = true): ServingContainer => ({
  id: `id of ${name}`,
  name,
  active,
  services: [web.value],
});
/** `a -b`: a runs, b is stopped. */
const containers = (text: string) => text.split(' ').filter(Boolean).map((name) => container(name.replace('-', ''), !name.startsWith('-'))); // biome-ignore format: one idea

type Script = {
  readonly before: string;
  readonly after: string;
  readonly order?: RolloutOrder;
  readonly exitCode?: number;
  readonly served?: StepResult;
  readonly others?: StepResult;
  /** Of each drain in turn. */
  readonly drained?: readonly StepResult[];
};

const fine: StepResult = { ok: true };
const not = (because: string): StepResult => ({ ok: false, because });

/** Runs a rollout on a host that does as the script says, and lists its steps. */
async function run(script: Script): Promise<{ readonly steps: readonly string[]; readonly end: RolloutEnd }> {
  const steps: string[] = [];
  const drained = [...(script.drained ?? [])];
  let now = containers(script.before);
  const step = (kind: string, of: readonly ServingContainer[]) => {
    steps.push([kind, ...of.map(({ name }) => name)].join(' '));
  };
  const host: RolloutHost = {
    containers: async () => now,
    async runCommand(scale) {
      steps.push(`command for ${scale}`);
      now = containers(script.after);
      return script.exitCode ?? 0;
    },
    async served(of) {
      step('served', of);
      return script.served ?? fine;
    },
    async othersServe() {
      steps.push('others serve');
      return script.others ?? fine;
    },
    async drain(of) {
      step('drain', of);
      return drained.shift() ?? fine;
    },
    undrain: async (of) => step('undrain', of),
    remove: async (of) => step('remove', of),
    forget: async (of) => step('forget', of),
  };
  const end = await rollOut(host, script.order ?? 'start-first', () => undefined);
  return { steps, end };
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
    expect(end).toMatchObject({ kind: 'back', because: expect.stringContaining('docker rm b') });
  });

  test('only starts containers where there are none', async () => {
    expect((await run({ before: '', after: 'a' })).steps).toEqual(['command for 1', 'served a']);
  });

  test('goes back when the new containers are not served, and leaves the old ones alone', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', served: not('b has ended') });
    expect(steps).toEqual(['command for 2', 'served b', 'drain b', 'remove b']);
    expect(end).toEqual({ kind: 'back', because: 'b has ended' });
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
    expect(end).toEqual({ kind: 'stuck', because: 'late', now: 'b run on: lb-1 has 2 open requests' });
  });

  test('removes what a command started that failed', async () => {
    const { steps, end } = await run({ before: 'a', after: 'a b', exitCode: 17 });
    expect(steps).toEqual(['command for 2', 'drain b', 'remove b']);
    expect(end).toEqual({ kind: 'back', because: 'the command ended with 17' });
  });

  test('fails when the command starts nothing', async () => {
    const { end } = await run({ before: 'a', after: 'a' });
    expect(end).toEqual({ kind: 'back', because: 'the command started no new container' });
  });

  test('fails at its end when the command itself stopped old containers, whose requests nobody waited for', async () => {
    const { steps, end } = await run({ before: 'a b', after: 'b c' });
    expect(steps).toEqual(['command for 4', 'forget a', 'served c', 'drain b', 'remove b']);
    const because = 'the command itself stopped a, so requests may have failed';
    expect(end).toEqual({ kind: 'stuck', because, now: 'every balancer serves c' });
  });

  test('never stops the new containers when the command itself stopped old ones', async () => {
    const { steps, end } = await run({ before: 'a', after: 'b', served: not('late') });
    expect(steps).toEqual(['command for 2', 'forget a', 'served b', 'forget a']);
    expect(end).toEqual({ kind: 'stuck', because: 'late', now: 'the command has stopped a, and b run on' });
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
    expect(end).toEqual({ kind: 'back', because: 'no other instance' });
  });

  test('does not run the command when the old containers cannot be drained', async () => {
    const { steps, end } = await run({ order, before: 'a', after: 'b', drained: [not('open')] });
    expect(steps).toEqual(['others serve', 'drain a', 'undrain a']);
    expect(end).toEqual({ kind: 'back', because: 'open' });
  });
});
