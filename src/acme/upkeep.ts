import { formatAccount, parseAccount } from '../model/acme/account.ts';
import { parseChallenge } from '../model/acme/challenge.ts';
import { accountKey, certificateKey, challengeKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { parseOrderRecord } from '../model/acme/order-record.ts';
import { isSealedWithFirst, open, type SealingKeys } from '../model/acme/sealing.ts';
import { formatStoredCertificate } from '../model/acme/stored-certificate.ts';
import type { Revision } from '../model/revision.ts';
import { type Due, type KnownCertificate, waitOf } from './due.ts';
import type { LostEntry } from './host-states.ts';
import type { LeaderEntries, Seen } from './leader-entries.ts';
import { sealKey } from './seal-key.ts';

/** What the leader knows about the fleet's certificates at one moment. */
export type UpkeepView = {
  readonly entries: Pick<LeaderEntries, 'get' | 'certificates' | 'orders' | 'renewals' | 'challenges'>;
  /** What is to be done for each host that needs a certificate. */
  readonly due: ReadonlyMap<string, Due>;
  /** Whether an order of this host is being carried out. */
  readonly isRunning: (host: string) => boolean;
  readonly known: (host: string, seen: Pick<Seen, 'value'>) => KnownCertificate | undefined;
  readonly held: (key: string) => LostEntry | undefined;
  readonly sealingKeys: SealingKeys;
  readonly now: number;
};

/** A write: a value, or undefined for a removal, of a key that is as it was at `since`; undefined: that is not there. */
export type Upkeep = { readonly key: string; readonly value: string | undefined; readonly since: Revision | undefined };

/**
 * What is left to put in order: answers and orders that nobody needs, certificates that ended or that a wiped registry has lost, keys that are
 * sealed with a former key.
 */
export function upkeepOf(view: UpkeepView): readonly Upkeep[] {
  const removals = [
    ...uselessOrders(view),
    ...uselessChallenges(view),
    ...uselessWishes(view),
    ...endedCertificates(view),
  ];
  return [...removals, ...lostCertificates(view), ...sealedAgain(view)];
}

/** Orders of hosts that need no certificate any more, or have one meanwhile. */
function uselessOrders({ entries, due, isRunning, now }: UpkeepView): readonly Upkeep[] {
  return entries.orders().flatMap(([host, { value, revision }]) => {
    if (isRunning(host)) return [];
    const record = parseOrderRecord(value);
    // A host that comes back at once must not be tried more often for it.
    const waits = record.ok && waitOf(record.value, now) !== undefined;
    const what = due.get(host);
    const isUseless = what === undefined || (what.kind === 'wait' && what.until > now);
    return isUseless && !waits ? [removal(orderKey(host), revision)] : [];
  });
}

/** Answers of orders that are not being carried out: a leader before has left them. Another order may be ready to begin, and asks again. */
function uselessChallenges({ entries, isRunning }: UpkeepView): readonly Upkeep[] {
  return entries.challenges().flatMap(([token, { value, revision }]) => {
    const challenge = parseChallenge(value);
    return challenge.ok && isRunning(challenge.value.host) ? [] : [removal(challengeKey(token), revision)];
  });
}

const uselessWishes = ({ entries, due }: UpkeepView): readonly Upkeep[] =>
  entries.renewals().flatMap(([host, { revision }]) => (due.has(host) ? [] : [removal(renewalKey(host), revision)]));

/** Ordered certificates of hosts that need none any more. Those that people wrote are theirs. */
function endedCertificates({ entries, due, known, now }: UpkeepView): readonly Upkeep[] {
  return entries.certificates().flatMap(([host, seen]) => {
    if (due.has(host)) return [];
    const certificate = known(host, seen);
    return certificate?.stored.authority !== undefined && certificate.validity.until <= now
      ? [removal(certificateKey(host), seen.revision)]
      : [];
  });
}

/**
 * Certificates that HAProxy serves, and that a replaced registry does not have: a balancer that joins knows them only from there. What people
 * deleted at once stays deleted.
 */
function lostCertificates({ entries, due, isRunning, known, held }: UpkeepView): readonly Upkeep[] {
  return [...due].flatMap(([host, { kind }]) => {
    const key = certificateKey(host);
    if (kind !== 'wait' || isRunning(host) || entries.get(key) !== undefined) return [];
    const lost = held(key);
    if (lost?.held?.kind !== 'replaced') return [];
    // Nothing comes back that nobody can use.
    return known(host, lost)?.canOpen === true ? [{ key, value: lost.value, since: undefined }] : [];
  });
}

function sealedAgain({ entries, known, isRunning, sealingKeys }: UpkeepView): readonly Upkeep[] {
  const found: Upkeep[] = [];
  const again = (sealed: string, place: string): string | undefined => {
    if (isSealedWithFirst(sealed, sealingKeys)) return undefined;
    const opened = open(sealed, place, sealingKeys);
    return opened.ok ? sealKey(opened.value, place, sealingKeys) : undefined;
  };
  for (const [host, seen] of entries.certificates()) {
    const certificate = isRunning(host) ? undefined : known(host, seen);
    const key = certificate?.canOpen ? again(certificate.stored.key, certificateKey(host)) : undefined;
    if (certificate === undefined || key === undefined) continue;
    const value = formatStoredCertificate({ ...certificate.stored, key });
    found.push({ key: certificateKey(host), value, since: seen.revision });
  }
  const seen = entries.get(accountKey);
  const account = parseAccount(seen?.value ?? '');
  const key = account.ok ? again(account.value.key, accountKey) : undefined;
  if (seen !== undefined && account.ok && key !== undefined) {
    found.push({ key: accountKey, value: formatAccount({ ...account.value, key }), since: seen.revision });
  }
  return found;
}

const removal = (key: string, since: Revision): Upkeep => ({ key, value: undefined, since });
