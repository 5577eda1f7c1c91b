import type { BalanceHealth } from '../balance/health.ts';
import { byEnd, endOf } from './certificate-ends.ts';
import { dayOf, fullOf } from './dates.ts';

const mostShown = 20;
const mostNames = 3;

/** The certificates that HAProxy serves, the first to end first. */
export function Certificates({
  certificates,
  now,
}: {
  readonly certificates: BalanceHealth['certificates'];
  readonly now: Date;
}) {
  return (
    <ul class="plain">
      {byEnd(certificates)
        .slice(0, mostShown)
        .map(({ name, names, notBefore, notAfter }) => {
          const { kind, says } = endOf({ notBefore, notAfter }, now);
          const end = new Date(notAfter);
          return (
            <li key={name}>
              <span class={`dot ${kind}`} aria-hidden="true" />
              <b>{name}</b> <span class={kind === 'good' ? 'dim' : kind}>{says}</span>
              <div class="dim">
                <time dateTime={notAfter} title={fullOf(end)}>
                  {dayOf(end)}
                </time>
                {names.length > 0 && `, for ${names.slice(0, mostNames).join(', ')}`}
                {names.length > mostNames && ` and ${names.length - mostNames} more`}
              </div>
            </li>
          );
        })}
      {certificates.length > mostShown && <li class="dim">and {certificates.length - mostShown} that end later</li>}
    </ul>
  );
}
