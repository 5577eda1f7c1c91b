import { parseChallenge } from '../model/acme/challenge.ts';
import { formatInstance, parseInstance } from '../model/instance.ts';
import { areaOfKey, parseKey } from '../model/key.ts';
import { parseOverride } from '../model/override.ts';
import type { Parsed } from '../model/parsed.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Change, Entry, ReadFilter, RegistryEvent, Reject } from '../registry/registry.ts';
import { textBytes } from './cost.ts';
import { type CatalogLimits, rejecting } from './limits.ts';

/** The values of nearly all instances are shorter, and cost little whatever is in them. */
const shortest = 512;

/**
 * The event with nothing in it that no balancer uses: an instance's value has no fields that are not known and no blanks, and of what
 * is rejected only the reason stays. So values without a meaning take no memory.
 */
export function leanEvent(event: RegistryEvent, reject: Reject): RegistryEvent {
  switch (event.kind) {
    case 'snapshot': {
      const entries = new Map<string, Entry>();
      for (const [key, entry] of event.entries) entries.set(key, leanEntry(entry, reject));
      return { ...event, entries };
    }
    case 'changes':
      return { ...event, changes: event.changes.map((change) => leanChange(change, reject)) };
    default:
      return event;
  }
}

const leanChange = (change: Change, reject: Reject): Change =>
  change.kind === 'put' ? { kind: 'put', entry: leanEntry(change.entry, reject) } : change;

/** The part of an entry that a balancer keeps. */
export function leanReading(limits: CatalogLimits): ReadFilter {
  const reject = rejecting(limits);
  return { reject, shorten: (entry) => leanEntry(entry, reject) };
}

function leanEntry(entry: Entry, reject: Reject): Entry {
  // Only those who write the registry look at who owns what, and at what labels say.
  if (['sets', 'labels'].includes(areaOfKey(entry.key))) return { ...entry, value: '' };
  if (entry.rejected !== undefined || entry.value.length <= shortest) return entry;
  const tooLong = reject(entry.key, Buffer.byteLength(entry.value));
  if (tooLong !== undefined) return without(entry, tooLong);
  const value = leanValue(entry);
  if (!value.ok) return without(entry, value.reason);
  return value.value === undefined ? entry : { ...entry, value: value.value };
}

const without = (entry: Entry, rejected: string): Entry => ({ ...entry, value: '', rejected });

/** The value in its shortest form; undefined where it stays as it is. */
function leanValue({ key, value }: Entry): Parsed<string | undefined> {
  const subject = parseKey(key);
  if (!subject.ok) return subject;
  const asItIs = { ok: true, value: undefined } as const;
  switch (subject.value.kind) {
    case 'instance': {
      const instance = parseInstance(subject.value.service, subject.value.id, value);
      if (!instance.ok) return instance;
      const short = formatInstance(instance.value);
      return textBytes(short) < textBytes(value) ? { ok: true, value: short } : asItIs;
    }
    case 'policy': {
      const policy = parsePolicy(value);
      return policy.ok ? asItIs : policy;
    }
    case 'override': {
      const override = parseOverride(value);
      return override.ok ? { ok: true, value: JSON.stringify(JSON.parse(value)) } : override;
    }
    case 'challenge': {
      const challenge = parseChallenge(value);
      return challenge.ok ? asItIs : challenge;
    }
    case 'claim':
    case 'other':
      return asItIs;
  }
}
