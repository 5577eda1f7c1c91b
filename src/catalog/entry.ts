import { parseClaim } from '../model/claim.ts';
import { parseInstance } from '../model/instance.ts';
import { type KeySubject, parseKey } from '../model/key.ts';
import { parseOverride } from '../model/override.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Entry } from '../registry/registry.ts';
import { instanceBytes, overrideBytes, textBytes } from './cost.ts';
import { sinceOf } from './service.ts';
import type { Serving } from './serving.ts';

/** The subject of a key that belongs to a service. */
export type EntrySubject = Exclude<KeySubject, { readonly kind: 'other' | 'challenge' }>;

/** A well-formed entry: the bytes that it counts for, and how it changes the services. */
export type ParsedEntry = { readonly bytes: number; readonly apply: (serving: Serving) => void };

export function entrySubject(key: string): EntrySubject | undefined {
  const subject = parseKey(key);
  return subject.ok && isOfService(subject.value) ? subject.value : undefined;
}

const isOfService = (subject: KeySubject): subject is EntrySubject =>
  subject.kind !== 'other' && subject.kind !== 'challenge';

/** Whether operators write entries of this kind. Such entries have room of their own. */
export const isOfOperators = (kind: EntrySubject['kind']): boolean => kind === 'override' || kind === 'claim';

export function parseEntry(subject: EntrySubject, entry: Entry): Parsed<ParsedEntry> {
  const { value } = entry;
  switch (subject.kind) {
    case 'instance': {
      const instance = parseInstance(subject.service, subject.id, value);
      if (!instance.ok) return instance;
      const apply = (serving: Serving) => serving.instance(subject.service, subject.id, instance.value);
      return accepted({ bytes: instanceBytes(instance.value), apply });
    }
    case 'policy': {
      const policy = parsePolicy(value);
      if (!policy.ok) return policy;
      const apply = (serving: Serving) => serving.policy(subject.service, policy.value, sinceOf(entry));
      return accepted({ bytes: textBytes(value), apply });
    }
    case 'override': {
      const override = parseOverride(value);
      if (!override.ok) return override;
      if (override.value.effect.kind === 'pause' && subject.scope !== '*')
        return rejected('kind: only a whole service can be paused, overrides/<service>/*');
      const apply = (serving: Serving) => serving.override(subject, override.value, 'removed');
      return accepted({ bytes: overrideBytes(override.value), apply });
    }
    case 'claim': {
      const claim = parseClaim(value);
      if (!claim.ok) return claim;
      const apply = (serving: Serving) => serving.claim(subject.service, claim.value);
      return accepted({ bytes: textBytes(value), apply });
    }
  }
}
