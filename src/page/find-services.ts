import type { ServiceView } from '../balance/queries/service-view.ts';
import type { LatestRates } from './latest-rates.ts';

export type Order = 'name' | 'state' | 'requests' | 'errors' | 'latency';
export type State = 'bad' | 'note' | 'good';

/** `bad`: no instance that should get requests is up. */
export function stateOf({ up, ready, held }: Pick<ServiceView, 'up' | 'ready' | 'held'>): State {
  if (up === undefined) return 'note';
  if (up === 0 && ready > 0) return 'bad';
  return up < ready || held > 0 || ready === 0 ? 'note' : 'good';
}

const rank: Readonly<Record<State, number>> = { bad: 0, note: 1, good: 2 };

/** The services whose name, routes or port have all words of the search, in this order: the largest figure first. */
export function findServices(
  services: readonly ServiceView[],
  rates: LatestRates,
  { search, order }: { readonly search: string; readonly order: Order },
): readonly ServiceView[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = services.filter(({ name, routes, port }) => {
    const text = `${name} ${routes.join(' ')} ${port ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  // They come by name, and a sort keeps the order of equals.
  if (order === 'name') return found;
  if (order === 'state') return found.toSorted((a, b) => rank[stateOf(a)] - rank[stateOf(b)]);
  const figure = ({ name }: ServiceView): number => {
    const latest = rates.get(name)?.latest;
    if (latest === undefined) return -1;
    return { requests: latest.requestsPerS, errors: latest.errorsPerS, latency: latest.meanMs ?? -1 }[order];
  };
  return found.toSorted((a, b) => figure(b) - figure(a));
}
