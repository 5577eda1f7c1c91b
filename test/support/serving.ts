import { onTestFailed, onTestFinished } from 'vitest';
import { startApp } from './app.ts';
import { ask } from './ask.ts';
import { startBalancer, type TestBalancer, type TestBalancerOptions } from './balancer.ts';
import { until } from './until.ts';

/** A balancer until the test is finished. A failed test prints the end of its log. */
export async function startOwnBalancer(options: TestBalancerOptions = {}): Promise<TestBalancer> {
  const balancer = await startBalancer(options);
  onTestFailed(() => void process.stderr.write(balancer.lines.slice(-80).join('')));
  onTestFinished(() => balancer.stop());
  return balancer;
}

/** A balancer that serves `web` by an application, and further entries, until the test is finished. */
export async function startServing(options: TestBalancerOptions = {}, entries: Readonly<Record<string, string>> = {}) {
  const app = await startApp('app');
  onTestFinished(() => app.close());
  const balancer = await startOwnBalancer(options);
  balancer.snapshot({ 'instances/web/a': app.address, ...entries });
  await balancer.balancer.start();
  return { app, balancer };
}

/** A policy that is different for each number, which no HAProxy can take up without a reload. */
export const reloadingPolicy = (n: number): string => JSON.stringify({ check: { kind: 'http', path: `/${n}` } });

/** Waits until a host is served with this answer. */
export const answers = (port: number, host: string, body = 'app') =>
  until(`${host} is served by ${body}`, async () => (await ask(port, host)).body === body);

/** The services and templates in quarantine, each with the form that serves instead. */
export const held = ({ balancer }: TestBalancer) =>
  balancer.status().quarantined.map(({ key, serves }) => `${key}: ${serves}`);

/** Waits until just these are in quarantine. */
export const holds = (balancer: TestBalancer, ...keys: readonly string[]) =>
  until(`${keys.join()} are held`, () => held(balancer).sort().join() === [...keys].sort().join());

/** The lines that a balancer logged for an event. */
export const logged = ({ lines }: Pick<TestBalancer, 'lines'>, event: string) =>
  lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line['event'] === event);
