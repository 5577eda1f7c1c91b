import type { BalanceHealth } from '../balance/health.ts';
import type { CertificatesView } from '../balance/queries/certificates-view.ts';
import type { NotServed } from '../balance/queries/not-served.ts';
import type { ServiceView } from '../balance/queries/service-view.ts';
import { describeFile } from '../files/describe-file.ts';
import { certificateTroubles } from '../operate/describe-certificate.ts';
import { describeConflict, moreConflicts } from '../render/conflict.ts';
import { certificateTrouble } from './certificate-ends.ts';
import { stateOf } from './find-services.ts';
import { formatDuration, plural } from './format.ts';

/** A line about something that an operator should look at. */
export type TroubleLine = {
  readonly kind: 'bad' | 'note';
  readonly says: string;
  /** The instance that it is about, if `explain` can say more. */
  readonly about?: { readonly service: string; readonly instance: string } | undefined;
};

export type TroubleSources = {
  readonly health: BalanceHealth | undefined;
  readonly services: readonly ServiceView[];
  readonly notServed: NotServed | undefined;
  readonly certificates: CertificatesView | undefined;
  /** Why the balancer does not answer; undefined while it does. */
  readonly lost: string | undefined;
  readonly now: Date;
};

/** All that is wrong, the worst first. */
export function troubleOf(sources: TroubleSources): readonly TroubleLine[] {
  const lines = [
    ...ofBalancer(sources),
    ...ofCertificates(sources),
    ...ofServices(sources),
    ...ofInstances(sources),
    ...ofEntries(sources),
  ];
  return [...lines.filter(({ kind }) => kind === 'bad'), ...lines.filter(({ kind }) => kind === 'note')];
}

/** The worst of the lines: the colour of the page's head. */
export function worstOf(lines: readonly TroubleLine[]): 'bad' | 'note' | 'good' {
  if (lines.some(({ kind }) => kind === 'bad')) return 'bad';
  return lines.length > 0 ? 'note' : 'good';
}

/** `2 problems, 1 note`. */
export function summaryOf(lines: readonly TroubleLine[]): string {
  const bad = lines.filter(({ kind }) => kind === 'bad').length;
  const notes = lines.length - bad;
  const parts = [...(bad > 0 ? [plural(bad, 'problem')] : []), ...(notes > 0 ? [plural(notes, 'note')] : [])];
  return parts.length === 0 ? 'nothing is wrong' : parts.join(', ');
}

const few = 5;
const mostInstances = 20;

function* ofBalancer({ health, lost, now }: TroubleSources): Generator<TroubleLine> {
  if (lost !== undefined)
    yield { kind: 'bad', says: `The balancer does not answer (${lost}): this is what it said last.` };
  if (health === undefined) return;
  if (!health.serving) yield { kind: 'bad', says: 'HAProxy does not serve.' };
  if (health.leaving !== undefined)
    yield { kind: 'note', says: `The balancer stops in ${formatDuration(health.leaving.stopsInMs)}.` };
  for (const { part, means, reason, sinceMs, blocks } of health.troubles) {
    // A line below shows it with more details.
    if (part === 'template' || part === 'storage' || reason === health.refused) continue;
    yield { kind: blocks ? 'bad' : 'note', says: `For ${formatDuration(sinceMs)}, ${means}: ${reason}` };
  }
  const { registry, refused, drift, storage, pendingReload, certificates } = health;
  if (!registry.connected) {
    const age = formatDuration(registry.staleMs);
    const says = `The registry is unavailable (${registry.reason}): HAProxy serves what was known ${age} ago.`;
    yield { kind: 'bad', says };
  }
  if (refused !== undefined) yield { kind: 'bad', says: `HAProxy refused the newest configuration: ${refused}` };
  for (const { what, reason } of storage) yield { kind: 'bad', says: `The ${what} is not on disk: ${reason}` };
  for (const { kind, says } of health.files.flatMap(describeFile)) yield { kind, says: `T${says.slice(1)}` };
  yield* certificateTrouble(certificates, now);
  if (drift !== undefined) {
    const often = drift.times === 1 ? '' : `, ${drift.times} times in 15 minutes`;
    const age = formatDuration(drift.ageMs);
    const says = `HAProxy ran something else than it was given ${age} ago${often}; pointsman restored it: ${drift.differences[0]}`;
    yield { kind: 'note', says };
  }
  if (refused === undefined && pendingReload.length > 0)
    yield { kind: 'note', says: `A reload is due: ${pendingReload[0]}` };
}

function* ofCertificates({ certificates, now }: TroubleSources): Generator<TroubleLine> {
  const troubles = certificateTroubles(certificates?.list ?? [], now.getTime());
  for (const { kind, says } of troubles.slice(0, few)) yield { kind, says: `${says.replace(/^the /, 'The ')}.` };
  if (troubles.length > few)
    yield { kind: 'note', says: `and ${plural(troubles.length - few, 'more host')} with such a certificate` };
}

function* ofServices({ health, services }: TroubleSources): Generator<TroubleLine> {
  const down = services.filter((service) => stateOf(service) === 'bad');
  for (const { name, ready } of down.slice(0, few))
    yield { kind: 'bad', says: `${name}: no instance is up (0 of ${ready}), so its requests are answered with 503.` };
  if (down.length > few)
    yield { kind: 'bad', says: `No instance is up of ${plural(down.length - few, 'more service')}.` };
  if (health === undefined) return;
  // Quarantined instances are among the entries that are not served; quarantined templates are the refused ones above.
  for (const { key, reason, serves } of health.quarantined.filter((one) => one.key.startsWith('services/'))) {
    const effect = serves === 'nothing' ? 'is left out' : 'keeps its last good form';
    yield { kind: 'bad', says: `${key.slice('services/'.length)} ${effect}: ${reason}` };
  }
  for (const { count, reason, endsInMs } of health.held) {
    const until = endsInMs === undefined ? 'until they are released' : `for ${formatDuration(endsInMs)} more`;
    yield {
      kind: 'bad',
      says: `${count} ${count === 1 ? 'entry' : 'entries'} that the registry does not have any more: held ${until}: ${reason}`,
    };
  }
  for (const { service, lost, of, endsInMs } of health.guarded) {
    const left = formatDuration(endsInMs);
    yield {
      kind: 'note',
      says: `${service} lost ${lost} of ${of} instances at once: those that answer are held for ${left} more.`,
    };
  }
  for (const { service, instance, phase, errors, endsInMs } of health.ejected.slice(0, few)) {
    const left = formatDuration(endsInMs);
    const how = phase === 'out' ? `gets no requests for ${left} more` : `is on trial for ${left} more`;
    yield { kind: 'note', says: `${service}/${instance} ${how}: ${errors} errors in a row.` };
  }
  const { conflicts } = health;
  for (const conflict of conflicts.slice(0, few)) yield { kind: 'note', says: describeConflict(conflict) };
  const unshown = new Map(Object.entries(health.moreConflicts));
  for (const { loser } of conflicts.slice(few)) unshown.set(loser, (unshown.get(loser) ?? 0) + 1);
  for (const [name, count] of [...unshown].slice(0, few)) yield { kind: 'note', says: moreConflicts(name, count) };
}

function* ofInstances({ notServed }: TroubleSources): Generator<TroubleLine> {
  if (notServed === undefined) return;
  const { down, downCount } = notServed;
  for (const { service, instance, why, sinceS } of down.slice(0, mostInstances)) {
    const since = sinceS === undefined ? '' : `, for ${formatDuration(sinceS * 1000)}`;
    yield {
      kind: 'note',
      says: `${service}/${instance} gets no requests: ${why}${since}`,
      about: instance === undefined ? undefined : { service, instance },
    };
  }
  const more = downCount - Math.min(down.length, mostInstances);
  if (more > 0)
    yield {
      kind: 'note',
      says: `${plural(more, 'more instance')} get no requests: open a service to see its instances.`,
    };
}

function* ofEntries({ health }: TroubleSources): Generator<TroubleLine> {
  const rejected = health?.rejected ?? [];
  for (const { key, reason } of rejected.slice(0, few)) {
    const [area, service, instance] = key.split('/');
    const about =
      area === 'instances' && service !== undefined && instance !== undefined ? { service, instance } : undefined;
    yield { kind: 'note', says: `${key}: ${reason}`, about };
  }
  if (rejected.length > few)
    yield { kind: 'note', says: `and ${rejected.length - few} more entries that are not served` };
}
