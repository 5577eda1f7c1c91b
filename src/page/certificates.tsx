import type { BalanceHealth } from '../balance/health.ts';
import type { ListedCertificate } from '../operate/certificate-list.ts';
import { describeCertificateState } from '../operate/describe-certificate.ts';
import { byEnd, endOf } from './certificate-ends.ts';
import { dayOf, fullOf } from './dates.ts';

const mostShown = 20;
const mostNames = 3;

/** The hosts that ask for a certificate and do not have a good one, then the certificates that HAProxy serves, the first to end first. */
export function Certificates({
  certificates,
  list,
  now,
}: {
  readonly certificates: BalanceHealth['certificates'];
  readonly list: readonly ListedCertificate[];
  readonly now: Date;
}) {
  return (
    <ul class="plain">
      <Pending list={list} />
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

const kinds = {
  ...{ failing: 'bad', unreadable: 'bad', refused: 'bad' },
  ...{ ordering: 'note', waiting: 'note', 'not-ordered': 'note' },
} as const;

/** What is ordered, is to be ordered, or cannot be. */
function Pending({ list }: { readonly list: readonly ListedCertificate[] }) {
  const pending = list.flatMap((one) => {
    const { kind } = one.state;
    return kind === 'valid' || kind === 'expired' ? [] : [{ ...one, colour: kinds[kind] }];
  });
  return (
    <>
      {pending.slice(0, mostShown).map((one) => (
        <li key={`pending ${one.host}`}>
          <span class={`dot ${one.colour}`} aria-hidden="true" />
          <b>{one.host}</b> <span class={one.colour}>{describeCertificateState(one)}</span>
        </li>
      ))}
      {pending.length > mostShown && <li class="dim">and {pending.length - mostShown} more hosts without one</li>}
    </>
  );
}
