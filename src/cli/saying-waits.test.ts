import { expect, test } from 'vitest';
import type { Listing, Registry } from '../registry/registry.ts';
import { deferred } from '../waiting/deferred.ts';
import { sayingWaits } from './saying-waits.ts';

test('calls of the registry at the same time have one line, from the first call to the last answer', async () => {
  const answers = [deferred(), deferred()];
  let call = 0;
  const registry: Pick<Registry, 'read' | 'location'> = {
    location: 'etcd://a/',
    async read() {
      const answer = answers[call];
      call += 1;
      await answer?.promise;
      return {} as Listing;
    },
  };
  const told: string[] = [];
  const spoken = sayingWaits(registry as Registry, () => {
    told.push('starts');
    return { stop: () => told.push('stops') };
  });
  const reads = [spoken.read('a'), spoken.read('b')];
  answers[0]?.resolve();
  await reads[0];
  expect(told).toEqual(['starts']);
  answers[1]?.resolve();
  await reads[1];
  expect(told).toEqual(['starts', 'stops']);
});
