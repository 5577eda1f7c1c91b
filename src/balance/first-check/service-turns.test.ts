import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { deferred } from '../../waiting/deferred.ts';
import { ServiceTurns } from './service-turns.ts';

function turns(most: number, mostOfService: number) {
  const all = new ServiceTurns({ most, mostOfService });
  const begun: string[] = [];
  const running: ReturnType<typeof deferred>[] = [];
  return {
    begun,
    drop: (service: string, at: number) => all.drop(service as ServiceName, `${at}` as InstanceId),
    add: (...services: readonly string[]) => {
      for (const [at, service] of services.entries()) {
        all.add(service as ServiceName, `${at}` as InstanceId, () => {
          begun.push(service);
          const over = deferred();
          running.push(over);
          return over.promise;
        });
      }
    },
    /** Ends what began first. */
    end: async () => {
      running.shift()?.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('a service whose work never ends leaves room to the others', () => {
  const { add, begun } = turns(5, 3);
  add(...Array<string>(1000).fill('evil'), 'web');
  expect(begun).toEqual(['evil', 'evil', 'evil', 'web']);
});

test('services take turns, however much one of them has to do', async () => {
  const { add, begun, end } = turns(2, 2);
  add('a', 'a', 'a', 'a', 'a', 'b', 'c', 'b');
  for (let ended = 0; ended < 6; ended += 1) await end();
  expect(begun).toEqual(['a', 'a', 'a', 'b', 'c', 'a', 'b', 'a']);
});

test('no more is done at once than is allowed, and all of it is done', async () => {
  const { add, begun, end } = turns(3, 2);
  add('a', 'a', 'a', 'b', 'b', 'b', 'c');
  for (const expected of [3, 4, 5, 6, 7, 7]) {
    expect(begun).toHaveLength(expected);
    await end();
  }
});

test('what is dropped before its turn is not done, and what is added again is done once', async () => {
  const { add, drop, begun, end } = turns(1, 1);
  add('a', 'a', 'b');
  add('a', 'a', 'b');
  drop('a', 1);
  for (let ended = 0; ended < 4; ended += 1) await end();
  expect(begun).toEqual(['a', 'a', 'b']);
});
