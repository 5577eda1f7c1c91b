import { type Instance, parseInstance } from '../model/instance.ts';
import { instanceKey, policyKey } from '../model/key.ts';
import { type InstanceId, parseInstanceId, type ServiceName } from '../model/name.ts';
import type { Parsed } from '../model/parsed.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import type { Entry, KeyRange, RegistryEvent } from '../registry/registry.ts';

/** The subject of a wait: one instance, or all of a service. */
export type WaitSubject = { readonly service: ServiceName; readonly id: InstanceId | undefined };

export const nameOf = ({ service, id }: WaitSubject): string => (id === undefined ? service : `${service}/${id}`);

/** The range of the subject's keys. */
export function rangeOf({ service, id }: WaitSubject): KeyRange {
  const first = instanceKey(service, id ?? '');
  // The end is the next name there could be: "0" comes after "/".
  return { first, end: id === undefined ? `instances/${service}0` : `${first}\0` };
}

/** The range of the policy of the subject's service. */
export function policyRange({ service }: WaitSubject): KeyRange {
  const first = policyKey(service);
  return { first, end: `${first}\0` };
}

/**
 * The revision of the newest policy that a follower of `policyRange` received: `noRevision` without a policy or without the
 * right to read it, undefined before the registry has answered.
 */
export function foldPolicy(before: Revision | undefined, event: RegistryEvent): Revision | undefined {
  switch (event.kind) {
    case 'snapshot': {
      const [policy] = event.entries.values();
      return policy?.revision ?? noRevision;
    }
    case 'changes': {
      const last = event.changes.at(-1);
      if (last === undefined) return before;
      return last.kind === 'put' ? last.entry.revision : last.revision;
    }
    // A user who may not read the policy, such as one of the role `register`, does not wait for it.
    case 'disconnected':
      return event.denied === true ? (before ?? noRevision) : before;
    case 'progress':
    case 'connected':
      return before;
  }
}

/** A subject's keys in the registry. */
export type Registrations = {
  /** Undefined before the registry has answered. */
  readonly entries: ReadonlyMap<string, Entry> | undefined;
  /** The revision of the last deletion; undefined while a key exists, and when none existed from the beginning. */
  readonly goneSince: Revision | undefined;
};

export const nothingRead: Registrations = { entries: undefined, goneSince: undefined };

/** Folds an event of a follower of `rangeOf`. */
export function foldRegistrations(before: Registrations, event: RegistryEvent): Registrations {
  switch (event.kind) {
    case 'snapshot':
      return { entries: event.entries, goneSince: undefined };
    case 'changes': {
      const entries = new Map(before.entries);
      let { goneSince } = before;
      for (const change of event.changes) {
        if (change.kind === 'put') entries.set(change.entry.key, change.entry);
        else entries.delete(change.key);
        goneSince = entries.size === 0 && change.kind === 'delete' ? change.revision : undefined;
      }
      return { entries, goneSince };
    }
    case 'progress':
    case 'connected':
    case 'disconnected':
      return before;
  }
}

/** Whether the registry itself has the wanted state, and since which revision; or the obstacle, as a clause. */
export type Readiness =
  | { readonly ready: true; readonly revision: Revision }
  | { readonly ready: false; readonly because: string };

/** Every instance of the subject is registered and asks for requests. */
export function isRegistered({ entries }: Registrations, subject: WaitSubject): Readiness {
  if (entries === undefined) return { ready: false, because: 'the registry has not answered yet' };
  const isOne = subject.id !== undefined;
  let revision: Revision | undefined;
  const others: string[] = [];
  for (const entry of entries.values()) {
    const state = stateOf(entry, subject.service);
    if (state === 'ready') revision = revision === undefined || entry.revision > revision ? entry.revision : revision;
    else others.push(isOne ? `it is registered, and ${state}` : state);
  }
  if (revision !== undefined) return { ready: true, revision };
  return { ready: false, because: others[0] ?? (isOne ? 'it is not registered' : 'no instance of it is registered') };
}

/** The instance of an entry of this service. */
export function instanceOf({ key, value }: Entry, service: ServiceName): Parsed<Instance> {
  const id = parseInstanceId(key.slice(instanceKey(service, '').length));
  return id.ok ? parseInstance(service, id.value, value) : id;
}

function stateOf(entry: Entry, service: ServiceName): string {
  const instance = instanceOf(entry, service);
  return instance.ok ? instance.value.state : `not readable: ${instance.reason}`;
}

/** The instances of the subject whose registrations ask for requests. */
export function readyOnes({ entries }: Registrations, { service }: WaitSubject): readonly InstanceId[] {
  const ids: InstanceId[] = [];
  for (const entry of entries?.values() ?? []) {
    const instance = instanceOf(entry, service);
    if (instance.ok && instance.value.state === 'ready' && instance.value.weight > 0) ids.push(instance.value.id);
  }
  return ids;
}

/** Nothing of the subject is registered. `asOf`: a revision at which that was so, for one that was never seen. */
export function isUnregistered({ entries, goneSince }: Registrations, asOf: Revision | undefined): Readiness {
  if (entries === undefined) return { ready: false, because: 'the registry has not answered yet' };
  if (entries.size > 0) {
    const [first] = entries.keys();
    return { ready: false, because: entries.size === 1 ? `${first} stands` : `${entries.size} keys exist` };
  }
  const revision = goneSince ?? asOf;
  return revision === undefined
    ? { ready: false, because: 'pointsman is asking the registry' }
    : { ready: true, revision };
}

/** Whether no key existed from the beginning, so that the revision of the deletion is unknown. */
export const isUnknown = ({ entries, goneSince }: Registrations): boolean =>
  entries?.size === 0 && goneSince === undefined;
