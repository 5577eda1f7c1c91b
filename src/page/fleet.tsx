import type { FleetMember } from '../balance/queries/fleet-members.ts';

/** Every balancer that lives, and how far behind the newest one it is. */
export function Fleet({ fleet, self }: { readonly fleet: readonly FleetMember[]; readonly self: string | undefined }) {
  if (fleet.length === 0) return <p class="empty">No balancer tells in the registry what it serves.</p>;
  const newest = fleet.reduce((most, { revision }) => (revision > most ? revision : most), 0);
  return (
    <ul class="fleet">
      {fleet.map(({ id, revision, haproxyVersion, refusals, problem }) => {
        const lag = newest - revision;
        const state = problem !== undefined ? 'bad' : refusals > 0 ? 'note' : 'good';
        return (
          <li key={id}>
            <span class={`dot ${state}`} aria-hidden="true" />
            <b>{id}</b> {id === self && <span class="dim">this one</span>}
            <span class="dim">
              {problem ?? `serves revision ${revision}${lag > 0 ? `, ${lag} behind` : ''}, HAProxy ${haproxyVersion}`}
              {refusals > 0 && `, ${refusals} not served`}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
