import { expect, test } from 'vitest';
import type { BalanceHealth } from '../balance/health.ts';
import { parseAction } from '../operate/action.ts';
import { choicesFor, durationsOf, requestOf } from './choices.ts';

const nothing = { overrides: [], held: [], guarded: [] };
const instance = { service: 'web', instance: 'web-1' };
const service = { service: 'web', instance: undefined };
const override = (
  kind: BalanceHealth['overrides'][number]['kind'],
  of: string,
): BalanceHealth['overrides'][number] => ({
  ...(kind === 'weight' ? { kind, weight: 5 } : { kind }),
  ...{ who: 'ada', why: undefined, at: undefined, until: undefined },
  ...{ service: 'web', instance: of, endsInMs: undefined, held: false },
});

test('to end an override comes first, and only a whole service can be paused', () => {
  const actions = (...given: Parameters<typeof choicesFor>) => choicesFor(...given).map(({ action }) => action);
  expect(actions(instance, nothing)).toEqual(['drain', 'maintenance', 'weight']);
  expect(actions(service, nothing)).toEqual(['drain', 'maintenance', 'weight', 'pause']);
  expect(actions(instance, { ...nothing, overrides: [override('drain', 'web-1')] })[0]).toBe('undrain');
  expect(actions(instance, { ...nothing, overrides: [override('pause', '*')] })[0]).toBe('drain');
  expect(actions(service, { ...nothing, overrides: [override('pause', '*')] })[0]).toBe('resume');
  expect(actions(service, { ...nothing, overrides: [override('weight', '*')] })[0]).toBe('clear');
});

test('each choice is an action that the balancer reads', () => {
  const held = {
    ...nothing,
    overrides: [override('drain', '*')],
    guarded: [{ service: 'web' }],
  } as unknown as BalanceHealth;
  for (const choice of choicesFor(service, held)) {
    const [duration] = durationsOf(choice);
    const request = requestOf(service, choice, { weight: '5', forMs: duration?.ms, why: ' new disk ' });
    expect(parseAction(request), choice.action).toMatchObject({ ok: true });
  }
});

test('a weight that is no number asks for nothing', () => {
  const choice = choicesFor(instance, nothing).find(({ action }) => action === 'weight');
  if (choice === undefined) throw new Error('no weight');
  expect(requestOf(instance, choice, { weight: '', forMs: undefined, why: '' })).toBeUndefined();
});
