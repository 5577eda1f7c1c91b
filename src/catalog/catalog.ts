import { Map as PersistentMap } from 'immutable';
import { type Instance, parseInstance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { defaultPolicy, type Policy, parsePolicy } from '../model/policy.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import { type Touched, TouchedGathering } from '../model/touched.ts';
import type { Change, Entry, RegistryEvent } from '../registry/registry.ts';
import { parseKey, type Subject } from './key.ts';

export type Service = {
  readonly name: ServiceName;
  readonly policy: Policy;
  /** False when `policy` is the default because nobody declared one. */
  readonly declared: boolean;
  readonly instances: PersistentMap<InstanceId, Instance>;
};

/** An entry that was not taken. Where the key held something good before, that goes on being served. */
type Rejection = {
  readonly key: string;
  readonly reason: string;
  readonly revision: Revision;
  readonly lastGoodServes: boolean;
};

/** What should be served: the registry's tree, parsed. A value: folding an event gives a new one. */
export type Catalog = {
  readonly revision: Revision;
  readonly cluster: string | undefined;
  readonly services: PersistentMap<ServiceName, Service>;
  /** The raw entry behind everything in `services`; what is kept on disk. */
  readonly accepted: PersistentMap<string, Entry>;
  readonly rejected: PersistentMap<string, Rejection>;
};

export const emptyCatalog: Catalog = {
  revision: noRevision,
  cluster: undefined,
  services: PersistentMap(),
  accepted: PersistentMap(),
  rejected: PersistentMap(),
};

/** An instance whose key was deleted, as it was just before. */
type Removal = { readonly instance: Instance; readonly leased: boolean };

export type Folded = {
  readonly catalog: Catalog;
  readonly touched: Touched;
  /** Instances and policies that really differ now: what the changes-applied metric counts. */
  readonly changes: number;
  readonly rejections: readonly Rejection[];
  /** What left, with its last state: a fold of many changes may hold both the draining and the delete. */
  readonly removals: readonly Removal[];
};

/** Folds what the registry said into the catalog. Cost grows with the changes, not with the catalog. */
export function foldEvent(catalog: Catalog, event: RegistryEvent): Folded {
  switch (event.kind) {
    case 'snapshot': {
      const changes = snapshotChanges(catalog, event);
      return foldChanges({ ...catalog, cluster: event.cluster }, changes, event.revision);
    }
    case 'changes':
      return foldChanges(catalog, event.changes, event.revision);
    case 'progress':
      return unchanged({ ...catalog, revision: event.revision });
    case 'connected':
    case 'disconnected':
      return unchanged(catalog);
  }
}

function unchanged(catalog: Catalog): Folded {
  return { catalog, touched: new Map(), changes: 0, rejections: [], removals: [] };
}

/** What turns the catalog into the snapshot: an unchanged entry costs a look-up and nothing else. */
function snapshotChanges(catalog: Catalog, snapshot: Extract<RegistryEvent, { kind: 'snapshot' }>): readonly Change[] {
  const changes: Change[] = [];
  for (const entry of snapshot.entries.values()) {
    const known = catalog.accepted.get(entry.key);
    if (known?.value !== entry.value || known.leased !== entry.leased) changes.push({ kind: 'put', entry });
  }
  const gone = (key: string) => {
    if (!snapshot.entries.has(key)) changes.push({ kind: 'delete', key, revision: snapshot.revision });
  };
  for (const key of catalog.accepted.keys()) gone(key);
  for (const key of catalog.rejected.keys()) if (!catalog.accepted.has(key)) gone(key);
  return changes;
}

function foldChanges(catalog: Catalog, changes: readonly Change[], revision: Revision): Folded {
  const touched = new TouchedGathering();
  const rejections: Rejection[] = [];
  const removals: Removal[] = [];
  let counted = 0;
  const services = catalog.services.asMutable();
  const accepted = catalog.accepted.asMutable();
  const rejected = catalog.rejected.asMutable();

  const reject = (key: string, reason: string, at: Revision) => {
    const rejection = { key, reason, revision: at, lastGoodServes: accepted.has(key) };
    const known = rejected.get(key);
    rejected.set(key, rejection);
    if (known?.reason !== reason) rejections.push(rejection);
  };
  const update = (subject: Subject, change: (service: Service) => Service) => {
    if (subject.kind === 'other') return;
    const before = services.get(subject.service) ?? emptyService(subject.service);
    const after = change(before);
    const wasThere = services.has(subject.service);
    const isThere = after.declared || after.instances.size > 0;
    if (isThere) services.set(subject.service, after);
    else services.delete(subject.service);
    if (subject.kind === 'instance') touched.instance(subject.service, subject.id);
    if (wasThere !== isThere || subject.kind === 'policy') touched.service(subject.service);
    counted += 1;
  };

  for (const change of changes) {
    const key = change.kind === 'put' ? change.entry.key : change.key;
    const subject = parseKey(key);
    if (change.kind === 'delete') {
      rejected.delete(key);
      const held = accepted.get(key);
      if (!subject.ok || held === undefined) continue;
      accepted.delete(key);
      const instance = instanceOf(services, subject.value);
      if (instance !== undefined) removals.push({ instance, leased: held.leased });
      update(subject.value, (service) => withoutSubject(service, subject.value));
      continue;
    }
    const { entry } = change;
    if (!subject.ok) {
      reject(key, subject.reason, entry.revision);
      continue;
    }
    if (subject.value.kind === 'other') continue;
    const parsed = parseSubject(subject.value, entry.value);
    if (!parsed.ok) {
      reject(key, parsed.reason, entry.revision);
      continue;
    }
    rejected.delete(key);
    const same = accepted.get(key)?.value === entry.value;
    accepted.set(key, entry);
    if (!same) update(subject.value, parsed.value);
  }

  return {
    catalog: {
      ...catalog,
      revision,
      services: services.asImmutable(),
      accepted: accepted.asImmutable(),
      rejected: rejected.asImmutable(),
    },
    touched: touched.take(),
    changes: counted,
    rejections,
    removals,
  };
}

type Parsing = { ok: true; value: (service: Service) => Service } | { ok: false; reason: string };

function parseSubject(subject: Exclude<Subject, { kind: 'other' }>, value: string): Parsing {
  if (subject.kind === 'policy') {
    const policy = parsePolicy(value);
    if (!policy.ok) return policy;
    return { ok: true, value: (service) => ({ ...service, policy: policy.value, declared: true }) };
  }
  const instance = parseInstance(subject.service, subject.id, value);
  if (!instance.ok) return instance;
  return {
    ok: true,
    value: (service) => ({ ...service, instances: service.instances.set(subject.id, instance.value) }),
  };
}

function instanceOf(services: Catalog['services'], subject: Subject): Instance | undefined {
  return subject.kind === 'instance' ? services.get(subject.service)?.instances.get(subject.id) : undefined;
}

function withoutSubject(service: Service, subject: Subject): Service {
  switch (subject.kind) {
    case 'policy':
      return { ...service, policy: defaultPolicy, declared: false };
    case 'instance':
      return { ...service, instances: service.instances.delete(subject.id) };
    case 'other':
      return service;
  }
}

function emptyService(name: ServiceName): Service {
  return { name, policy: defaultPolicy, declared: false, instances: PersistentMap() };
}
