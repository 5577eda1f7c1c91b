import { describe, expect, test } from 'vitest';
import { containerOf } from '../../../test/support/containers.ts';
import type { Container } from '../../engine/container.ts';
import type { InstanceTraits } from '../../settings/register.ts';
import { declare } from '../declare.ts';
import type { Declared } from '../registration.ts';
import { readLabels } from './container-labels.ts';
import type { Stage } from './container-run.ts';
import { type DeclaringContainer, type Want, wantedInstances } from './wanted-instances.ts';

const labels = { 'pointsman.service': 'web', 'pointsman.network': 'bridge', 'pointsman.id': 'x' };

function declaring(fields: Partial<Container>, stage: Stage = 'up', unhealthy: Declared['unhealthy'] = 'withdraw') {
  const container = containerOf({ labels, ...fields });
  const traits: InstanceTraits = {
    net: undefined,
    weight: 100,
    version: undefined,
    zone: undefined,
    role: 'active',
    meta: {},
    check: undefined,
    rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
    unhealthy,
  };
  const machine = { hostname: 'node7', home: undefined, stateHome: undefined, root: false };
  const { instances } = readLabels(container, { traits, machine, publishedAt: undefined, ownContainer: undefined });
  const announcer = { hostname: 'node7', owner: 'me', env: {}, interfaces: {}, hasCommand: false };
  return {
    seen: { container, stage },
    instances: instances.map((labelled) => {
      const declared = declare(labelled.settings, announcer);
      if (declared instanceof Error) throw declared;
      return { labelled, declared };
    }),
  } satisfies DeclaringContainer;
}

const howOf = (one: DeclaringContainer, before: ReadonlyMap<string, Want> = new Map()) =>
  wantedInstances([one], before).wanted.get('web/x')?.how;
/** After the container ran well. */
const later = (one: DeclaringContainer) => howOf(one, wantedInstances([declaring({})], new Map()).wanted);

describe('the instance of a container', () => {
  test.each([
    ['that runs is announced', declaring({}), 'announce'],
    ['that is healthy is announced', declaring({ health: 'healthy' }), 'announce'],
    ['that becomes unhealthy is taken out', declaring({ health: 'unhealthy' }), undefined],
    ['that becomes unhealthy keeps its requests if asked', declaring({ health: 'unhealthy' }, 'up', 'drain'), 'pause'],
    ['that is paused is taken out', declaring({ phase: 'paused' }), 'drop'],
    ['that leaves retires', declaring({}, 'leaving'), 'retire'],
    ['that leaves, and on podman is stopping, retires', declaring({ phase: 'stopping' }, 'leaving'), 'retire'],
    ['that was told to end is taken out', declaring({}, 'ending'), 'drop'],
    ['that has left stays out', declaring({}, 'left'), undefined],
  ] as const)('%s', (_, one, how) => {
    expect(later(one)).toBe(how);
  });

  test.each([
    ['that is unhealthy from the start', declaring({ health: 'unhealthy' }, 'up', 'drain')],
    ['whose first check is not over', declaring({ health: 'starting' })],
    ['that has left', declaring({}, 'left')],
  ] as const)('%s is not announced', (_, one) => {
    expect(howOf(one)).toBeUndefined();
  });

  test.each([
    ['that leaves retires', declaring({}, 'leaving'), 'retire'],
    ['that was told to end is taken out', declaring({}, 'ending'), 'drop'],
    ['that is paused is taken out', declaring({ phase: 'paused' }), 'drop'],
  ] as const)('%s, also when only a former agent can have announced it', (_, one, how) => {
    expect(howOf(one)).toBe(how);
  });

  test('that was paused and is unhealthy afterwards is not announced', () => {
    const paused = wantedInstances([declaring({ phase: 'paused' })], new Map()).wanted;
    expect(howOf(declaring({ health: 'unhealthy' }, 'up', 'drain'), paused)).toBeUndefined();
  });
});

test('of two containers with one instance the one that had it keeps it, else the older one', () => {
  const older = declaring({ id: 'a', createdAt: 1 });
  const newer = declaring({ id: 'b', createdAt: 2 });
  const fresh = wantedInstances([newer, older], new Map());
  expect(fresh.wanted.get('web/x')?.container).toBe('a');
  expect(fresh.doubled).toEqual([{ container: 'b', name: 'web/x', other: 'a' }]);
  const before = wantedInstances([newer], new Map()).wanted;
  expect(wantedInstances([older, newer], before).wanted.get('web/x')?.container).toBe('b');
});

test('a container that was told to end leaves its instance to another one', () => {
  const ending = declaring({ id: 'a', createdAt: 1 }, 'ending');
  const other = declaring({ id: 'b', createdAt: 2 });
  const { wanted, doubled } = wantedInstances([ending, other], wantedInstances([ending], new Map()).wanted);
  expect(wanted.get('web/x')).toMatchObject({ container: 'b', how: 'announce' });
  expect(doubled).toEqual([]);
});
