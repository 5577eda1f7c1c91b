import { useState } from 'preact/hooks';
import type { ServiceDetail } from '../balance/queries/service-view.ts';
import { ActButton } from './act.tsx';
import { ExplainButton } from './explain.tsx';
import { formatDuration } from './format.ts';
import { useService } from './live.ts';
import { pageNumbers } from './page-of.ts';
import { Pager } from './pager.tsx';

const pageSize = 50;

type InstancesProps = { readonly name: string; readonly count: number; readonly looked: unknown };

/** The conflicts and the instances of a service. */
export function Instances({ name, count, looked }: InstancesProps) {
  const [wanted, setPage] = useState(0);
  const page = pageNumbers(count, wanted, pageSize);
  const detail = useService(name, page.page * pageSize, pageSize, looked);
  if (detail === undefined) return <p class="dim">…</p>;
  return (
    <>
      <Conflicts conflicts={detail.conflicts} />
      <table class="instances">
        <caption class="hidden">Instances of {name}</caption>
        <thead>
          <tr>
            <th scope="col">Instance</th>
            <th scope="col">Address</th>
            <th scope="col">State</th>
            <th scope="col">HAProxy</th>
            <th scope="col" class="number">
              Weight
            </th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col" class="number">
              Open
            </th>
          </tr>
        </thead>
        <tbody>
          {detail.instancesById.map((instance) => (
            <InstanceRow key={instance.id} service={name} instance={instance} />
          ))}
        </tbody>
      </table>
      <Pager what={`the instances of ${name}`} count={count} {...page} onPage={setPage} />
    </>
  );
}

type RowProps = { readonly service: string; readonly instance: ServiceDetail['instancesById'][number] };

function InstanceRow({ service, instance }: RowProps) {
  const { id, address, state, weight, version, override, ejection, held, traffic } = instance;
  const takes = traffic !== undefined && ejection?.phase !== 'out' && /^(UP|no check)/.test(traffic.status);
  return (
    <tr>
      <th scope="row">
        {id} {version !== undefined && <span class="tag">{version}</span>}{' '}
        <ExplainButton service={service} instance={id} /> <ActButton service={service} instance={id} />
      </th>
      <td data-label="Address">{address}</td>
      <td data-label="State">
        {state}
        {held && <span class="tag note">held</span>}
        {override !== undefined && <span class="tag note">{override}</span>}
      </td>
      <td data-label="HAProxy">
        <span class="whole">
          <span class={`dot ${takes ? 'good' : 'bad'}`} aria-hidden="true" />
          {traffic === undefined
            ? 'does not have it'
            : `${traffic.status} for ${formatDuration(traffic.sinceS * 1000)}`}
        </span>
        {ejection !== undefined && (
          <span class="tag note">{ejection.phase === 'out' ? 'ejected' : 'on trial after an ejection'}</span>
        )}
        {traffic !== undefined && !takes && ` ${traffic.checkDetail}`}
      </td>
      <td data-label="Weight" class="number">
        {weight}
      </td>
      <td data-label="Requests" class="number">
        {traffic?.requests ?? '–'}
      </td>
      <td data-label="Open" class="number">
        {traffic?.open ?? '–'}
      </td>
    </tr>
  );
}

/** The conflicts because of which this service, or another one, misses a route. */
function Conflicts({ conflicts }: { readonly conflicts: readonly string[] }) {
  if (conflicts.length === 0) return null;
  return (
    <ul class="trouble">
      {conflicts.map((says) => (
        <li key={says} class="note">
          {says}
        </li>
      ))}
    </ul>
  );
}
