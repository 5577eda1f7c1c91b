import { expect, test } from 'vitest';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { revision } from '../../model/revision.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import { afterEvent, afterServed, begun, noShortfall } from './acknowledgement-state.ts';

const snapshot = (at: bigint, cluster: string): RegistryEvent => ({
  kind: 'snapshot',
  history: { kind: 'first' },
  revision: revision(at),
  cluster,
  entries: new Map(),
});
const served = (at: bigint, cluster: string, unserved: readonly string[] = []) => ({
  catalog: { ...emptyCatalog, cluster, revision: revision(at) },
  shortfall: { ...noShortfall, unserved: unserved.map((key) => ({ key, reason: 'port taken' })) },
  workerPid: 1,
});

test('a balancer acknowledges the served revision, once, and again when its shortfall changes', () => {
  const connected = afterEvent(begun({ cluster: '' }), snapshot(9n, 'a'), 0);
  expect(connected.reached).toEqual({ revision: revision(0n), cluster: 'a' });
  const first = afterServed(connected, served(9n, 'a'));
  expect([first.due, first.state.reached]).toEqual([true, { revision: revision(9n), cluster: 'a' }]);
  const same = afterServed(first.state, served(9n, 'a'));
  expect(same.due).toBe(false);
  expect(afterServed(same.state, served(9n, 'a', ['services/web'])).due).toBe(true);
});

test('a balancer acknowledges nothing of the disk, or of a history that the registry has replaced', () => {
  const beginning = begun({ cluster: '' });
  expect(afterServed(beginning, served(9n, 'a'))).toMatchObject({
    due: undefined,
    state: { reached: beginning.reached },
  });
  const replaced = afterEvent(afterEvent(beginning, snapshot(9n, 'a'), 0), snapshot(2n, 'b'), 5);
  expect(afterServed(replaced, served(9n, 'a')).due).toBeUndefined();
  // The oldest change that is not acknowledged came at 0.
  expect(replaced.since).toBe(0);
});
