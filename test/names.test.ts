import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readVersion } from '../src/haproxy/check.ts';
import { keepsFormerAddress } from '../src/haproxy/known-faults.ts';
import { startApps } from './support/app.ts';
import { haproxyBin } from './support/balancer.ts';
import { startNameserver, whyNoNameserver, type Zone } from './support/nameserver.ts';
import { freePort } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { startTcpProxy } from './support/tcp-proxy.ts';
import { until } from './support/until.ts';

const reason = await whyNoNameserver();
if (reason !== undefined) process.stderr.write(`names as addresses are not tested: ${reason}\n`);

const portOf = (address: string): number => Number(address.split(':').at(-1));

async function setUp(zone: Zone = {}) {
  const scenario = await startScenario('folder');
  const dns = await startNameserver(zone);
  return {
    scenario,
    dns,
    balance: (...more: readonly string[]) =>
      scenario.balancerWith({ through: dns.through }, '--resolve-interval', '1s', ...more),
    explain: async (instance: string) => JSON.parse((await scenario.askAdmin(`/explain/${instance}`)).body),
    rejected: async (): Promise<{ key: string; reason: string; lastGoodServes: boolean }[]> =>
      JSON.parse((await scenario.askAdmin('/status')).body).rejected,
    metrics: async () => (await scenario.askAdmin('/metrics')).body,
  };
}

/** The application at another address of this machine, on one port for all. */
async function openWay(address: string, host: string, port = 0): Promise<number> {
  const way = await startTcpProxy(portOf(address), host, port);
  onTestFinished(() => way.close());
  return portOf(way.endpoint);
}

describe.skipIf(reason !== undefined)('host names as addresses', () => {
  test('names that no nameserver answers for delay no start and no change, and are shown on their instances alone', async () => {
    const { scenario, dns, balance, explain, rejected, metrics } = await setUp();
    await dns.silence();
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    for (let i = 1; i <= 5; i += 1) await scenario.writeByHand(`instances/evil/e${i}`, `host${i}.attacker.example:80`);
    const began = performance.now();
    balance();
    await scenario.serves('web', ['a']);
    const changed = performance.now();
    // A new service takes a check and a reload on HAProxy before 3.4.
    await scenario.writeByHand('instances/shop/b', b);
    await scenario.serves('shop', ['b']);
    const [startMs, changeMs] = [changed - began, performance.now() - changed];
    process.stderr.write(`with 5 silent names: start ${Math.round(startMs)} ms, change ${Math.round(changeMs)} ms\n`);
    expect(Math.max(startMs, changeMs)).toBeLessThan(20_000);
    await until('each of the five is shown, and nothing else', async () => {
      const shown = await rejected();
      const texts = shown.filter((one) => one.reason.startsWith('no nameserver answers for the name host'));
      return texts.length === 5 && shown.every(({ key }) => key.startsWith('instances/evil/'));
    });
    expect(await explain('evil/e1')).toMatchObject({
      verdict: 'not served',
      because: 'no nameserver answers for the name host1.attacker.example',
    });
    expect(await metrics()).toContain('pointsman_names{state="unresolved"} 5');
  });

  test('a name that gets another address is followed, and one that stops resolving keeps its last', async () => {
    const { scenario, dns, balance, rejected, metrics, explain } = await setUp();
    const [one = '', two = ''] = dns.loopback(2);
    const [a = '', b = ''] = await startApps('a', 'b');
    const port = await openWay(a, one);
    await openWay(b, two, port);
    const zone = (...addresses: string[]) => ({ addresses: { 'app.example.org': addresses } });
    await dns.serve(zone(one));
    await scenario.writeByHand('instances/web/i', `app.example.org:${port}`);
    const balancer = balance();
    await scenario.serves('web', ['a']);
    const reloads = /^pointsman_reloads_total.*$/m;
    const before = (await metrics()).match(reloads)?.[0];
    // Another address beside the one in use changes nothing, whichever comes first.
    await dns.serve(zone(two, one));
    const asked = async () => Number(/lookups_total\{result="found"\} (\d+)/.exec(await metrics())?.[1]);
    const then = await asked();
    await until('it is looked up again', async () => (await asked()) >= then + 2);
    expect(await scenario.answers('web')).toEqual(['a']);
    await dns.serve(zone(two));
    await scenario.serves('web', ['b']);
    // HAProxy 2.6 may send a request to the former address still, so a reload follows there (known fault `former-address`).
    if (!keepsFormerAddress(await readVersion(haproxyBin))) expect((await metrics()).match(reloads)?.[0]).toBe(before);

    const stale = async (text: string) =>
      (await rejected()).some((entry) => entry.lastGoodServes && entry.reason.includes(text));
    await dns.serve({});
    await until('that it does not exist is shown', () =>
      stale('has no address in DNS; pointsman uses its last address'),
    );
    await dns.silence();
    await until('that nobody answers is shown', () => stale('no nameserver answers for the name app.example.org'));
    expect(await scenario.answers('web')).toEqual(['b']);
    expect(await explain('web/i')).toMatchObject({ verdict: 'served' });
    // A restart does not know less.
    balancer.kill('SIGTERM');
    await balancer.ended;
    balance();
    await scenario.serves('web', ['b']);
    await dns.serve(zone(one));
    await scenario.serves('web', ['a']);
    expect(await rejected()).toEqual([]);
  });

  test('a name in /etc/hosts needs no nameserver', async () => {
    const { scenario, dns } = await setUp();
    await dns.silence();
    const [there = ''] = dns.loopback(1);
    const [a = ''] = await startApps('a');
    const port = await openWay(a, there);
    const hosts = join(scenario.dir, 'hosts');
    await writeFile(hosts, `127.0.0.1 localhost\n${there} App.internal app # here\n`);
    await scenario.writeByHand('instances/web/a', `app.internal:${port}`);
    const mount = ['sh', '-ec', 'mount --bind "$0" "$(readlink -f /etc/hosts)"; exec "$@"', hosts];
    scenario.balancerWith({ through: [...dns.through, ...mount] });
    await scenario.serves('web', ['a']);
  });

  test('a thousand names of one service that nobody answers for do not delay the names of another', async () => {
    const { scenario, dns, balance } = await setUp();
    const [there = ''] = dns.loopback(1);
    const [a = '', b = ''] = await startApps('a', 'b');
    const port = await openWay(a, there);
    await openWay(b, there, 0);
    const addresses = { 'app.example.org': [there], 'late.example.org': [there] };
    await dns.serve({ addresses, silentFor: 'attacker.example' });
    for (let i = 0; i < 1000; i += 1) await scenario.writeByHand(`instances/evil/e${i}`, `h${i}.attacker.example:80`);
    await scenario.writeByHand('instances/web/a', `app.example.org:${port}`);
    balance();
    await scenario.serves('web', ['a']);
    const began = performance.now();
    await scenario.writeByHand('instances/shop/a', `late.example.org:${port}`);
    await scenario.serves('shop', ['a']);
    const ms = Math.round(performance.now() - began);
    process.stderr.write(`beside 1000 silent names: a new service by name after ${ms} ms\n`);
    // Ten rounds of a lookup's whole time would be 30 s.
    expect(ms).toBeLessThan(15_000);
  });

  test('whoever owns a name cannot have it lead where instances may not be', async () => {
    const { scenario, dns, balance, explain } = await setUp();
    const [there = ''] = dns.loopback(1);
    const [a = ''] = await startApps('a');
    const port = await openWay(a, there);
    const zone = (...list: string[]) => ({ addresses: { 'app.example.org': list, 'bad.example.org': list } });
    await dns.serve(zone('169.254.169.254'));
    await scenario.writeByHand('instances/web/a', `app.example.org:${port}`);
    await scenario.writeByHand('instances/evil/admin', `bad.example.org:${scenario.admin}`);
    balance();
    const because = async (key: string) => (await explain(key)).because;
    const linkLocal =
      'the name app.example.org has no allowed address: 169.254.169.254 is a link-local address, which needs --allow-addresses';
    await until('the refusal is shown', async () => (await because('web/a')) === linkLocal);
    // Of several, those that are allowed count; and this machine's own ports stay its own.
    await dns.serve(zone('169.254.169.254', there));
    await scenario.serves('web', ['a']);
    await dns.serve(zone('127.0.0.1'));
    const own = `the name bad.example.org has the address 127.0.0.1: 127.0.0.1:${scenario.admin} is an address of this balancer itself`;
    await until('its own port is refused', async () => String(await because('evil/admin')).startsWith(own));
  });

  test('render shows the addresses, and says which names have none', async () => {
    const { scenario, dns } = await setUp();
    const [there = ''] = dns.loopback(1);
    await dns.serve({ addresses: { 'app.example.org': [there] } });
    await scenario.writeByHand('instances/web/a', 'app.example.org:80');
    await scenario.writeByHand('instances/web/b', 'none.example.org:80');
    const args = ['render', '--registry', scenario.location, '--dir', scenario.balancerDir];
    const { code, stdout, stderr } = await runPointsman(args, dns);
    expect(code).toBe(0);
    expect(stdout.join('\n')).toContain(`server a ${there}:80 `);
    expect(stdout.join('\n')).not.toContain('server b ');
    expect(stderr.join('\n')).toContain('instances/web/b: the name none.example.org has no address in DNS');
  });
});

test("neither this machine's metadata nor the balancer's own ports can be had as an instance", async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const { http, admin } = scenario;
  const refused: Readonly<Record<string, string>> = {
    admin: `127.0.0.1:${admin}`,
    loop: `127.0.0.1:${http}`,
    mapped: `[::ffff:127.0.0.1]:${admin}`,
    metadata: '169.254.169.254:80',
    local: '[fe80::1]:80',
    mapped2: '[::ffff:169.254.169.254]:80',
  };
  for (const [id, address] of Object.entries(refused)) await scenario.writeByHand(`instances/evil/${id}`, address);
  scenario.balancer();
  await scenario.serves('web', ['a']);
  const explain = async (id: string) => JSON.parse((await scenario.askAdmin(`/explain/evil/${id}`)).body);
  for (const [id, address] of Object.entries(refused)) {
    const own = ['admin', 'loop', 'mapped'].includes(id);
    const because = own
      ? `${address} is an address of this balancer itself`
      : 'is a link-local address, which needs --allow-addresses';
    expect(await explain(id)).toMatchObject({ verdict: 'not served', because: expect.stringContaining(because) });
  }
  expect((await scenario.ask('evil')).status).toBe(503);
});

test('where HAProxy comes to listen for a tcp service, no instance may be; a port that an application has stays its own', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  const port = await freePort();
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/loop/a', `127.0.0.1:${port}`);
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a']);
  await scenario.writeByHand('instances/db/b', b);
  await scenario.writeByHand('services/db', JSON.stringify({ mode: 'tcp', port }));
  await until('the loop is refused', async () => {
    const { because } = JSON.parse((await scenario.askAdmin('/explain/loop/a')).body);
    return because === `127.0.0.1:${port} is an address of this balancer itself: 127.0.0.1:${port}`;
  });
  await scenario.writeByHand('services/db2', JSON.stringify({ mode: 'tcp', port: Number(a.split(':')[1]) }));
  await balancer.logged('quarantined', ({ key }) => key === 'services/db2');
  expect(await scenario.answers('web')).toEqual(['a']);
});
