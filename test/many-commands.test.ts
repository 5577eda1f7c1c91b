import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { startBalancer } from './support/balancer.ts';
import { isNightly } from './support/nightly.ts';
import { until } from './support/until.ts';

// 1,024 routes each.
const services = isNightly ? 210 : 40;

test(`a change of the routes of ${services} services at once, with 1,024 routes each, is served like any other`, {
  timeout: 180_000,
}, async () => {
  const app = await startApp('a');
  onTestFinished(() => app.close());
  const balancer = await startBalancer({ limits: { services: 1000 } });
  onTestFinished(() => balancer.stop());
  const names = Array.from({ length: services }, (_, i) => `s${i}`);
  balancer.snapshot(Object.fromEntries(names.map((name) => [`instances/${name}/a`, app.address])));
  await balancer.balancer.start();
  const paths = Array.from({ length: 16 }, (_, i) => `/p${i}`);
  const hosts = (name: string) => Array.from({ length: 64 }, (_, i) => `h${i}.${name}.example`);
  balancer.change(
    Object.fromEntries(names.map((name) => [`services/${name}`, JSON.stringify({ hosts: hosts(name), paths })])),
  );
  const served = async () =>
    (await ask(balancer.port, `h63.s${services - 1}.example`, '/p15/x').catch(() => undefined))?.status === 200;
  await until('the last route leads somewhere', served, { deadlineMs: 120_000 });
  expect(balancer.lines.filter((line) => line.includes('"round-failed"'))).toEqual([]);
});
