import { describe, expect, test } from 'vitest';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import { noRevision, revision } from '../model/revision.ts';
import { type Entry, isWithin, type RegistryEvent } from '../registry/registry.ts';
import {
  foldPolicy,
  foldRegistrations,
  isRegistered,
  isUnknown,
  isUnregistered,
  nothingRead,
  rangeOf,
  type WaitSubject,
} from './registrations.ts';

const service = parseServiceName('web');
const id = parseInstanceId('a');
if (!service.ok || !id.ok) throw new Error('these are names');
const all: WaitSubject = { service: service.value, id: undefined };
const one: WaitSubject = { service: service.value, id: id.value };

const entry = (key: string, value: string, at: bigint): Entry => ({ key, value, revision: revision(at), leased: true });
const put = (key: string, value: string, at: bigint): RegistryEvent => ({
  kind: 'changes',
  revision: revision(at),
  changes: [{ kind: 'put', entry: entry(key, value, at) }],
});
const remove = (key: string, at: bigint): RegistryEvent => ({
  kind: 'changes',
  revision: revision(at),
  changes: [{ kind: 'delete', key, revision: revision(at) }],
});
const empty: RegistryEvent = {
  kind: 'snapshot',
  history: { kind: 'first' },
  revision: revision(9n),
  cluster: 'c',
  entries: new Map(),
};
const told = (...events: readonly RegistryEvent[]) => events.reduce(foldRegistrations, nothingRead);

describe('what is registered of a subject', () => {
  test('is followed as one range', () => {
    const keys = ['instances/web/a', 'instances/web/a1', 'instances/web/b', 'instances/web2/a', 'services/web'];
    expect(keys.filter((key) => isWithin(rangeOf(one), key))).toEqual(['instances/web/a']);
    expect(keys.filter((key) => isWithin(rangeOf(all), key))).toEqual(keys.slice(0, 3));
  });

  test('is not known before the registry answers', () => {
    const because = 'the registry has not answered yet';
    expect(isRegistered(nothingRead, one)).toEqual({ ready: false, because });
    expect(isUnregistered(nothingRead, undefined)).toEqual({ ready: false, because });
  });

  test('counts from the newest instance that takes requests', () => {
    const found = told(empty, put('instances/web/a', '10.0.0.1:80', 10n), put('instances/web/b', '10.0.0.2:80', 11n));
    expect(isRegistered(found, all)).toEqual({ ready: true, revision: 11n });
    const drained = foldRegistrations(
      found,
      put('instances/web/b', '{"address":"10.0.0.2:80","state":"draining"}', 12n),
    );
    expect(isRegistered(drained, all)).toEqual({ ready: true, revision: 10n });
  });

  test.each([
    ['{"address":"10.0.0.2:80","state":"draining"}', 'it is registered, and draining'],
    ['10.0.0.1', 'it is registered, and not readable: "10.0.0.1" is not host:port'],
  ])('is not ready as %s', (value, because) => {
    expect(isRegistered(told(empty, put('instances/web/a', value, 10n)), one)).toEqual({ ready: false, because });
  });

  test('is gone since its deletion, and since nobody knows when if that was not seen', () => {
    const found = told(empty, put('instances/web/a', '10.0.0.1:80', 10n));
    expect(isUnregistered(found, revision(20n))).toEqual({ ready: false, because: 'instances/web/a stands' });
    expect(isUnregistered(foldRegistrations(found, remove('instances/web/a', 11n)), undefined)).toEqual({
      ready: true,
      revision: 11n,
    });
    expect(isUnknown(told(empty))).toBe(true);
    expect(isUnregistered(told(empty), undefined)).toMatchObject({ ready: false });
    expect(isUnregistered(told(empty), revision(20n))).toEqual({ ready: true, revision: 20n });
  });
});

describe('the policy that a wait is for', () => {
  const away: RegistryEvent = { kind: 'disconnected', reason: 'connection refused' };
  const denied: RegistryEvent = { kind: 'disconnected', reason: 'etcdserver: permission denied', denied: true };

  test('is not known while the registry is lost before it has answered', () => {
    expect(foldPolicy(undefined, away)).toBeUndefined();
    const late = foldPolicy(foldPolicy(undefined, away), put('services/web', '{}', 12n));
    expect(late).toBe(12n);
    expect(foldPolicy(late, away)).toBe(12n);
  });

  test('counts as none for a user who may not read it', () => {
    expect(foldPolicy(undefined, denied)).toBe(noRevision);
    expect(foldPolicy(revision(12n), denied)).toBe(12n);
  });
});
