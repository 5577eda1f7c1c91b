import type { NotServed } from '../balance/queries/not-served.ts';
import { ActButton } from './act.tsx';
import { ExplainButton } from './explain.tsx';
import { plural } from './format.ts';

const mostShown = 30;

/** The instances that somebody took out, and the requests that they still answer. */
export function TakenOut({ notServed }: { readonly notServed: NotServed | undefined }) {
  const { out, outCount } = notServed ?? { out: [], outCount: 0 };
  if (outCount === 0) return <p class="empty">Every instance takes new requests.</p>;
  return (
    <ul class="plain">
      {out.slice(0, mostShown).map(({ service, instance = '', why, open }) => (
        <li key={`${service}/${instance}`}>
          <b>
            {service}/{instance}
          </b>{' '}
          <ExplainButton service={service} instance={instance} /> <ActButton service={service} instance={instance} />
          <div class="dim">
            {why}
            {open === 'unknown' && '; its open requests are not known yet'}
            {typeof open === 'number' && `; ${plural(open, 'open request')}`}
          </div>
        </li>
      ))}
      {outCount > mostShown && <li class="dim">and {plural(outCount - mostShown, 'more instance')}</li>}
    </ul>
  );
}
