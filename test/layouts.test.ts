import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test("a tree in another's layout is served as it is", async () => {
  const scenario = await startScenario('etcd');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.etcd?.ctl('put', '/services/web/host-1:web_1:8080', a);
  await scenario.etcd?.ctl('put', '/services/web/host-1:dns_1:53:udp', '10.0.0.1:53');
  const balancer = scenario.balancer('--layout', 'registrator');
  await scenario.serves('web', ['a']);
  await scenario.etcd?.ctl('put', '/services/web/host-2:web_1:8080', b);
  await scenario.serves('web', ['a', 'b']);
  await scenario.etcd?.ctl('put', '/services/web/host-3:web_1:8080', 'nonsense');
  const rejected = await balancer.logged('entry-rejected');
  expect(rejected['key']).toBe('/services/web/host-3:web_1:8080');
});

test("Traefik's tree is served as Traefik reads it: keys without a slash, fields in any case, relative weights", async () => {
  const scenario = await startScenario('etcd');
  const [a = '', b = ''] = await startApps('a', 'b');
  const put = (key: string, value: string) => scenario.etcd?.ctl('put', `traefik/${key}`, value);
  await put('http/routers/shop/rule', 'Host(`shop`)');
  await put('http/routers/shop/service', 'shop');
  await put('http/services/shop/loadbalancer/servers/0/url', `http://${a}/`);
  await put('http/services/shop/loadBalancer/passHostHeader', 'true');
  const balancer = scenario.balancer('--layout', 'traefik');
  await scenario.serves('shop', ['a']);
  await put('http/services/shop/loadBalancer/servers/1/url', `http://${b}`);
  await scenario.serves('shop', ['a', 'b']);
  await put('http/services/shop/loadBalancer/servers/1/weight', '3');
  await until('the weights are 1 to 3', async () => {
    const { instancesById } = JSON.parse((await scenario.askAdmin('/services/shop')).body);
    const weights = instancesById.map(({ id, weight }: { id: string; weight: number }) => `${id}:${weight}`);
    return weights.sort().join() === '0:85,1:256';
  });
  expect(balancer.stderr.filter((line) => line.includes('entry-rejected'))).toEqual([]);
});

test("a tree in another's layout is served from a folder, too", async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('backends/web/1', a);
  const balancer = scenario.balancer('--layout', 'plain');
  await scenario.serves('web', ['a']);
  await scenario.writeByHand('backends/web/2', b);
  await scenario.serves('web', ['a', 'b']);
  balancer.kill('SIGTERM');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  expect(balancer.stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
});

test('an unknown layout is refused with the names of those that are known', async () => {
  const { code, stderr } = await runPointsman(['balance', '--layout', 'kubernetes', '--registry', 'dir:/nowhere']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: [expect.stringContaining('known names: plain, registrator')] });
});
