import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { ask, startApp } from '../support/app.ts';
import { startBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

const check = { kind: 'http', path: '/health', interval: '300ms', fall: 1 };

/** One that answers checks as `health` says, and requests with 500 while that is not well. */
async function startSick(name: string) {
  const state = { health: 503, requests: 0 };
  const app = await startApp(name, (request, response) => {
    if (request.url !== '/health') state.requests += 1;
    response.writeHead(request.url === '/health' ? state.health : 500).end(name);
  });
  return { ...app, state };
}

async function start(options: Parameters<typeof startBalancer>[0] = {}) {
  const [well, sick] = [await startApp('well'), await startSick('sick')];
  const balancer = await startBalancer(options);
  onTestFailed(async () => void process.stderr.write(balancer.lines.join('')));
  onTestFinished(async () => {
    await balancer.stop();
    await Promise.all([well.close(), sick.close()]);
  });
  const isUp = async (id: string) => (await balancer.link.inspect()).servers.get('web')?.get(id)?.up;
  return { well, sick, balancer, isUp };
}

test('a server that is down stays down over a reload, whether it came at run time or from the file', async () => {
  const { well, sick, balancer, isUp } = await start();
  const policy = (interval: string) => JSON.stringify({ check: { ...check, interval } });
  balancer.snapshot({
    'services/web': policy('300ms'),
    'instances/web/well': well.address,
    'instances/web/file': sick.address,
  });
  await balancer.balancer.start();
  balancer.change({ 'instances/web/run': sick.address });
  await balancer.applied();
  await until('both are down', async () => (await isUp('file')) === false && (await isUp('run')) === false);
  sick.state.requests = 0;
  // No check of the new worker comes before the end of this test.
  balancer.change({ 'services/web': policy('60s') });
  await balancer.applied();
  for (let i = 0; i < 20; i += 1) expect((await ask(balancer.port, 'web')).status).toBe(200);
  expect(sick.state.requests).toBe(0);
  expect(await balancer.metric('drift_total')).toBe(0);
});
