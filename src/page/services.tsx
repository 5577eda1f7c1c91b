import { useState } from 'preact/hooks';
import type { ServiceView } from '../balance/queries/service-view.ts';
import { formatDuration, formatRate } from './format.ts';
import { useService } from './live.ts';
import { Plot } from './plot.tsx';
import type { RateHistory, Sample } from './rates.ts';

export type ServicesProps = {
  readonly services: readonly ServiceView[];
  readonly history: RateHistory;
  readonly search: string;
};

const mostShown = 200;

/** A row a service; one that is opened shows its instances and its traffic. */
export function Services({ services, history, search }: ServicesProps) {
  const [open, setOpen] = useState<string>();
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = services.filter(({ name, routes }) => {
    const text = `${name} ${routes.join(' ')}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (found.length === 0) {
    return <p class="empty">{services.length === 0 ? 'No service is registered.' : 'No service matches.'}</p>;
  }
  return (
    <table class="services">
      <thead>
        <tr>
          <th scope="col">Service</th>
          <th scope="col">Up</th>
          <th scope="col">Requests/s</th>
          <th scope="col">Errors/s</th>
          <th scope="col">Latency</th>
          <th scope="col">Routes</th>
        </tr>
      </thead>
      {found.slice(0, mostShown).map((service) => (
        <Service
          key={service.name}
          service={service}
          samples={history.get(service.name)?.samples ?? []}
          open={open === service.name}
          onToggle={() => setOpen(open === service.name ? undefined : service.name)}
        />
      ))}
      {found.length > mostShown && (
        <tfoot>
          <tr>
            <td colSpan={6}>and {found.length - mostShown} more: search for what you want to see</td>
          </tr>
        </tfoot>
      )}
    </table>
  );
}

type ServiceProps = {
  readonly service: ServiceView;
  readonly samples: readonly Sample[];
  readonly open: boolean;
  readonly onToggle: () => void;
};

function Service({ service, samples, open, onToggle }: ServiceProps) {
  const { name, up, ready, instances, held, routes, routeCount } = service;
  const last = samples.at(-1);
  const health = up === undefined ? 'note' : up === 0 ? 'bad' : up < ready ? 'note' : 'good';
  const id = `service-${name}`;
  return (
    <tbody class={open ? 'open' : ''}>
      <tr>
        <th scope="row">
          <button type="button" aria-expanded={open} aria-controls={id} onClick={onToggle}>
            {name}
          </button>
          {held > 0 && <span class="tag note">{held} held</span>}
        </th>
        <td data-label="Up">
          <span class={`dot ${health}`} aria-hidden="true" />
          {up ?? '?'} of {instances}
          {ready < instances && <span class="dim"> ({instances - ready} taken out)</span>}
        </td>
        <td data-label="Requests/s" class="number">
          {last === undefined ? '–' : formatRate(last.requestsPerS)}
        </td>
        <td data-label="Errors/s" class={`number ${(last?.errorsPerS ?? 0) > 0 ? 'bad' : ''}`}>
          {last === undefined ? '–' : formatRate(last.errorsPerS)}
        </td>
        <td data-label="Latency" class="number">
          {last?.meanMs === undefined ? '–' : formatDuration(last.meanMs)}
        </td>
        <td data-label="Routes" class="routes">
          {routes.slice(0, 2).join('  ')}
          {routeCount > 2 && <span class="dim"> and {routeCount - 2} more</span>}
        </td>
      </tr>
      {open && (
        <tr id={id} class="detail">
          <td colSpan={6}>
            <Traffic samples={samples} name={name} />
            <Instances name={name} looked={service} />
          </td>
        </tr>
      )}
    </tbody>
  );
}

/** Requests and errors beside latency. */
export function Traffic({ samples, name }: { readonly samples: readonly Sample[]; readonly name: string }) {
  const last = samples.at(-1);
  return (
    <div class="plots">
      <figure>
        <figcaption>
          requests/s {last && <b>{formatRate(last.requestsPerS)}</b>} <i>errors/s</i>{' '}
          {last && <b class={last.errorsPerS > 0 ? 'bad' : ''}>{formatRate(last.errorsPerS)}</b>}
        </figcaption>
        <Plot
          label={`requests and errors per second of ${name}`}
          samples={samples}
          lines={[
            { label: 'requests/s', color: '--accent', of: ({ requestsPerS }) => requestsPerS },
            { label: 'errors/s', color: '--bad', of: ({ errorsPerS }) => errorsPerS },
          ]}
        />
      </figure>
      <figure>
        <figcaption>latency, ms {last?.meanMs !== undefined && <b>{formatDuration(last.meanMs)}</b>}</figcaption>
        <Plot
          label={`mean latency of ${name} in ms`}
          samples={samples}
          lines={[{ label: 'latency', color: '--accent', of: ({ meanMs }) => meanMs }]}
        />
      </figure>
    </div>
  );
}

function Instances({ name, looked }: { readonly name: string; readonly looked: unknown }) {
  const detail = useService(name, looked);
  if (detail === undefined) return <p class="dim">…</p>;
  return (
    <>
      <Conflicts conflicts={detail.conflicts} />
      <table class="instances">
        <thead>
          <tr>
            <th scope="col">Instance</th>
            <th scope="col">Address</th>
            <th scope="col">State</th>
            <th scope="col">HAProxy</th>
            <th scope="col">Weight</th>
            <th scope="col">Requests</th>
            <th scope="col">Open</th>
          </tr>
        </thead>
        <tbody>
          {detail.instancesById.slice(0, mostShown).map((instance) => {
            const { id, address, state, weight, version, override, held, traffic } = instance;
            const takes = traffic !== undefined && /^(UP|no check)/.test(traffic.status);
            return (
              <tr key={id}>
                <th scope="row">
                  {id} {version !== undefined && <span class="tag">{version}</span>}
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
                      ? 'has it not'
                      : `${traffic.status} for ${formatDuration(traffic.sinceS * 1000)}`}
                  </span>
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
          })}
        </tbody>
      </table>
    </>
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
