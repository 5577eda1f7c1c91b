import { useMemo, useState } from 'preact/hooks';
import type { ServiceView } from '../balance/queries/service-view.ts';
import { ActButton } from './act.tsx';
import { findServices, type Order, stateOf } from './find-services.ts';
import { formatDuration, formatRate } from './format.ts';
import { Instances } from './instances.tsx';
import type { Latest, LatestRates } from './latest-rates.ts';
import { pageOf } from './page-of.ts';
import { Pager } from './pager.tsx';
import { Traffic } from './traffic.tsx';

export type ServicesProps = {
  readonly services: readonly ServiceView[];
  readonly rates: LatestRates;
  readonly search: string;
};

const pageSize = 50;
const columns: readonly { readonly title: string; readonly order?: Order; readonly number?: true }[] = [
  { title: 'Service', order: 'name' },
  { title: 'Up', order: 'state' },
  { title: 'Requests/s', order: 'requests', number: true },
  { title: 'Errors/s', order: 'errors', number: true },
  { title: 'Latency', order: 'latency', number: true },
  { title: 'Routes and ports' },
];

/** A row a service; one that is opened shows its instances and its traffic. */
export function Services({ services, rates, search }: ServicesProps) {
  const [open, setOpen] = useState<string>();
  const [order, setOrder] = useState<Order>('name');
  const [wanted, setPage] = useState(0);
  const found = useMemo(() => findServices(services, rates, { search, order }), [services, rates, search, order]);
  if (found.length === 0) {
    return <p class="empty">{services.length === 0 ? 'No service is registered.' : 'No service matches.'}</p>;
  }
  const { shown, ...page } = pageOf(found, wanted, pageSize);
  return (
    <>
      <table class="services">
        <caption class="hidden">Services, a click on a name shows its instances</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.title} {...column} current={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        {shown.map((service) => (
          <Service
            key={service.name}
            service={service}
            latest={rates.get(service.name)?.latest}
            open={open === service.name}
            onToggle={() => setOpen(open === service.name ? undefined : service.name)}
          />
        ))}
      </table>
      <Pager what="services" count={found.length} {...page} onPage={setPage} />
    </>
  );
}

type HeadingProps = (typeof columns)[number] & { readonly current: Order; readonly onOrder: (order: Order) => void };

/** A click puts the services in the order of the column. */
function Heading({ title, order, number, current, onOrder }: HeadingProps) {
  const sorted = order === 'name' ? 'ascending' : 'descending';
  return (
    <th scope="col" class={number ? 'number' : ''} aria-sort={order === current ? sorted : undefined}>
      {order === undefined ? (
        title
      ) : (
        <button type="button" class="order" onClick={() => onOrder(order)}>
          {title}
        </button>
      )}
    </th>
  );
}

type ServiceProps = {
  readonly service: ServiceView;
  readonly latest: Latest | undefined;
  readonly open: boolean;
  readonly onToggle: () => void;
};

const plotHeight = 170;

function Service({ service, latest, open, onToggle }: ServiceProps) {
  const { name, up, ready, instances, held, ejected } = service;
  const id = `service-${name}`;
  return (
    <tbody class={open ? 'open' : ''}>
      <tr>
        <th scope="row">
          <button
            type="button"
            class="toggle"
            aria-expanded={open}
            aria-controls={open ? id : undefined}
            onClick={onToggle}
          >
            {name}
          </button>
          {held > 0 && <span class="tag note">{held} held</span>}
        </th>
        <td data-label="Up">
          <span class={`dot ${stateOf(service)}`} aria-hidden="true" />
          {up ?? '?'} of {instances}
          {ejected > 0 && <span class="dim"> ({ejected} ejected)</span>}
          {ready < instances && <span class="dim"> ({instances - ready} taken out)</span>}
        </td>
        <td data-label="Requests/s" class="number">
          {latest === undefined ? '–' : formatRate(latest.requestsPerS)}
        </td>
        <td data-label="Errors/s" class={`number ${(latest?.errorsPerS ?? 0) > 0 ? 'bad' : ''}`}>
          {latest === undefined ? '–' : formatRate(latest.errorsPerS)}
        </td>
        <td data-label="Latency" class="number">
          {latest?.meanMs === undefined ? '–' : formatDuration(latest.meanMs)}
        </td>
        <td data-label="Routes" class="routes">
          <Routes service={service} />
        </td>
      </tr>
      {open && (
        <tr id={id} class="detail">
          <td colSpan={6}>
            <ActButton service={name} instance={undefined} />
            <Traffic name={name} latest={latest} height={plotHeight} />
            <Instances name={name} count={instances} looked={service} />
          </td>
        </tr>
      )}
    </tbody>
  );
}

const mostRoutes = 2;

function Routes({ service: { mode, port, routes, routeCount } }: { readonly service: ServiceView }) {
  return (
    <>
      {mode === 'tcp' && <span class="tag first">tcp port {port ?? '?'}</span>}
      {routes.slice(0, mostRoutes).join('  ')}
      {routeCount > mostRoutes && <span class="dim"> and {routeCount - mostRoutes} more</span>}
    </>
  );
}
