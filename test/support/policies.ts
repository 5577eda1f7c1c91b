import { afterAll, beforeAll } from 'vitest';
import { type Asking, type Exchange, exchange } from './ask.ts';
import { startBalancer, type TestBalancer } from './balancer.ts';

type Served = { readonly policy?: object; readonly instances: Readonly<Record<string, string | object>> };

/**
 * A balancer for a whole file, with the services that `declare` gives: their policies and instances (an address, or the
 * fields of a registration). All of them are there from the start, so that none costs a reload.
 */
export function serveAll(
  declare: () => Promise<Readonly<Record<string, Served>>>,
  options: () => Parameters<typeof startBalancer>[0] = () => ({}),
): {
  readonly balancer: TestBalancer;
  /** Sends one request to a host through the balancer. */
  readonly ask: (host: string, more?: Partial<Asking>) => Promise<Exchange>;
} {
  let balancer: TestBalancer | undefined;
  beforeAll(async () => {
    const services = Object.entries(await declare());
    balancer = await startBalancer(options());
    balancer.snapshot(Object.fromEntries(services.flatMap(([name, served]) => entriesOf(name, served))));
    await balancer.balancer.start();
  });
  afterAll(() => balancer?.stop());
  const started = (): TestBalancer => {
    if (balancer === undefined) throw new Error('it is not started yet');
    return balancer;
  };
  return {
    get balancer() {
      return started();
    },
    ask: (host, more = {}) => exchange(started().port, { host, ...more }),
  };
}

function entriesOf(name: string, { policy, instances }: Served): [string, string][] {
  const entries = Object.entries(instances).map(([id, value]): [string, string] => [
    `instances/${name}/${id}`,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return policy === undefined ? entries : [[`services/${name}`, JSON.stringify(policy)], ...entries];
}
