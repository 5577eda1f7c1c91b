import type { BalanceHealth } from '../balance/health.ts';
import { describeFile } from '../files/describe-file.ts';
import { describeConflict, moreConflicts } from '../render/conflict.ts';
import { formatDuration } from './format.ts';

/** The troubles for an operator, the worst first; empty without any. */
export function Trouble({
  health,
  lost,
}: {
  readonly health: BalanceHealth | undefined;
  readonly lost: string | undefined;
}) {
  const lines = [...troubleOf(health, lost)];
  if (lines.length === 0) return null;
  return (
    <ul class="trouble" role="status">
      {lines.map(({ kind, says }) => (
        <li key={says} class={kind}>
          {says}
        </li>
      ))}
    </ul>
  );
}

const mostConflicts = 5;

type Line = { readonly kind: 'bad' | 'note'; readonly says: string };

function* troubleOf(health: BalanceHealth | undefined, lost: string | undefined): Generator<Line> {
  if (lost !== undefined)
    yield { kind: 'bad', says: `The balancer does not answer (${lost}): this is what it said last.` };
  if (health === undefined) return;
  if (!health.serving) yield { kind: 'bad', says: 'HAProxy does not serve.' };
  for (const { part, means, reason, sinceMs, blocks } of health.troubles) {
    // A line below shows it with more details.
    if (part === 'template' || part === 'storage' || reason === health.refused) continue;
    yield { kind: blocks ? 'bad' : 'note', says: `For ${formatDuration(sinceMs)}, ${means}: ${reason}` };
  }
  const { registry, refused, quarantined, guarded, held, rejected, pendingReload, drift, storage, conflicts } = health;
  if (!registry.connected) {
    const age = formatDuration(registry.staleMs);
    yield { kind: 'bad', says: `The registry is away (${registry.reason}): what was known ${age} ago is served.` };
  }
  if (refused !== undefined) yield { kind: 'bad', says: `The newest configuration was refused: ${refused}` };
  // Quarantined instances are among the entries that are not served; quarantined templates are the refused ones above.
  for (const { key, reason, serves } of quarantined.filter((one) => one.key.startsWith('services/'))) {
    const what = serves === 'nothing' ? 'is left out' : 'keeps its last good form';
    yield { kind: 'bad', says: `${key.slice('services/'.length)} ${what}: ${reason}` };
  }
  for (const { count, reason, endsInMs } of held) {
    const until = endsInMs === undefined ? 'until they are released' : `for ${formatDuration(endsInMs)} more`;
    yield { kind: 'bad', says: `${count} entries that the registry has no more are held ${until}: ${reason}` };
  }
  for (const { service, lost: gone, of, endsInMs } of guarded) {
    const left = formatDuration(endsInMs);
    yield {
      kind: 'note',
      says: `${service} lost ${gone} of ${of} instances at once: those that answer are held for ${left} more.`,
    };
  }
  if (drift !== undefined) {
    const often = drift.times === 1 ? '' : `, ${drift.times} times in 15 minutes`;
    const age = formatDuration(drift.ageMs);
    yield {
      kind: 'note',
      says: `HAProxy ran something else than it was given ${age} ago${often}, and was healed: ${drift.differences[0]}`,
    };
  }
  for (const { what, reason } of storage) yield { kind: 'bad', says: `The ${what} is not on disk: ${reason}` };
  for (const { kind, says } of health.files.flatMap(describeFile)) yield { kind, says: `T${says.slice(1)}` };
  if (refused === undefined && pendingReload.length > 0)
    yield { kind: 'note', says: `A reload is due: ${pendingReload[0]}` };
  for (const conflict of conflicts.slice(0, mostConflicts)) yield { kind: 'note', says: describeConflict(conflict) };
  const unshown = new Map(Object.entries(health.moreConflicts));
  for (const { loser } of conflicts.slice(mostConflicts)) unshown.set(loser, (unshown.get(loser) ?? 0) + 1);
  for (const [name, count] of [...unshown].slice(0, mostConflicts))
    yield { kind: 'note', says: moreConflicts(name, count) };
  for (const { key, reason } of rejected.slice(0, 5)) yield { kind: 'note', says: `${key}: ${reason}` };
  if (rejected.length > 5) yield { kind: 'note', says: `and ${rejected.length - 5} more entries that are not served` };
}
