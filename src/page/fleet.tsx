import type { FleetMember } from '../balance/queries/fleet-members.ts';
import { compareFleet, pageOfMember } from './fleet-differences.ts';

/** Every live balancer, with a link to its page, and how it differs from the others. */
export function Fleet({ fleet, self }: { readonly fleet: readonly FleetMember[]; readonly self: string | undefined }) {
  if (fleet.length === 0) return <p class="empty">No balancer says in the registry what it serves.</p>;
  return (
    <ul class="plain">
      {compareFleet(fleet).map(({ member, kind, differences }) => {
        const { id, revision, haproxyVersion, version, refusals, problem } = member;
        const page = id === self ? undefined : pageOfMember(member);
        return (
          <li key={id} aria-current={id === self ? 'true' : undefined}>
            <span class={`dot ${kind}`} aria-hidden="true" />
            {page === undefined ? <b>{id}</b> : <a href={page}>{id}</a>}{' '}
            {id === self && <span class="dim">this one</span>}
            {problem === undefined && (
              <div class="dim">
                serves revision {revision}, pointsman {version}, HAProxy {haproxyVersion}
              </div>
            )}
            {id !== self && page === undefined && (
              <div class="dim">no link: its admin port is for its own machine only</div>
            )}
            {refusals > 0 && (
              <div class="note">{refusals === 1 ? '1 entry is' : `${refusals} entries are`} not served</div>
            )}
            {differences.map((one) => (
              <div key={one} class={kind}>
                ≠ {one}
              </div>
            ))}
          </li>
        );
      })}
    </ul>
  );
}
