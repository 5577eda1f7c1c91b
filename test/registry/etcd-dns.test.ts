import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startApps } from '../support/app.ts';
import { makeAuthority } from '../support/certificates.ts';
import { type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { startNameserver, whyNoNameserver } from '../support/nameserver.ts';
import { freePort } from '../support/ports.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const reason = await whyNoNameserver();
if (reason !== undefined) process.stderr.write(`etcd by DNS is not tested: ${reason}\n`);

/** A way to etcd at this address and port, which can be closed. */
async function openWay(target: number, host: string, port = 0) {
  const way = await startTcpProxy(target, host, port);
  onTestFinished(() => way.close());
  return way;
}

/** A registry with a name is not taken for one on this machine. */
const onLoopback = ['--allow-addresses', '127.0.0.0/8'];

const portOf = (endpoint: string): string => endpoint.split(':').at(-1) ?? '';

/** An etcd with TLS whose certificate is for these names and for no address that is used. */
async function startTlsEtcd(...names: readonly string[]) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-dns-tls-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const authority = await makeAuthority(dir);
  const { certFile, keyFile } = await authority.issue('server', 1, names);
  const options: EtcdOptions = {
    scheme: 'https',
    args: ['--cert-file', certFile, '--key-file', keyFile],
    ctlArgs: ['--cacert', authority.caFile],
  };
  const etcd = await startEtcd(1, options);
  onTestFinished(() => etcd.close());
  await etcd.ctl('put', '/pointsman/instances/web/a', '10.0.0.1:80');
  return { caFile: authority.caFile, port: etcd.members[0]?.clientPort ?? 0 };
}

describe.skipIf(reason !== undefined)('etcd that is found by DNS', () => {
  test('each address of a name is a member, and members that move to other addresses are followed', async () => {
    const scenario = await startScenario('etcd');
    const target = scenario.etcd?.members[0]?.clientPort ?? 0;
    const dns = await startNameserver({});
    const [one = '', two = '', three = '', nobody = ''] = dns.loopback(4);
    const port = await freePort();
    await dns.serve({ addresses: { 'etcd.example.org': [one, two, nobody] } });
    const ways = [await openWay(target, one, port), await openWay(target, two, port)];
    const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
    await scenario.writeByHand('instances/web/a', a);

    const registry = ['--registry', `etcd://etcd.example.org:${port}`, ...onLoopback];
    const balancer = scenario.balancerWith({ through: dns.through }, ...registry);
    await scenario.serves('web', ['a']);
    // The member that it follows is gone: the other address of the name is asked.
    const { member } = await balancer.logged('registry-connected');
    const [current, other] = member === ways[0]?.endpoint ? ways : [...ways].reverse();
    await current?.close();
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);
    // Now the name has another address, and no old one answers.
    await openWay(target, three, port);
    await dns.serve({ addresses: { 'etcd.example.org': [three] } });
    await other?.close();
    await scenario.writeByHand('instances/web/c', c);
    await scenario.serves('web', ['a', 'b', 'c']);
    await balancer.logged('registry-connected', (line) => line['member'] === `${three}:${port}`);
  });

  test('SRV records name the members, and are asked for again when no member answers', async () => {
    const scenario = await startScenario('etcd');
    const target = scenario.etcd?.members[0]?.clientPort ?? 0;
    const dns = await startNameserver({});
    const [one = '', two = ''] = dns.loopback(2);
    const old = await openWay(target, one);
    const addresses = { 'm1.example.org': [one], 'm2.example.org': [two] };
    const record = '_etcd-client._tcp.example.org';
    await dns.serve({
      addresses,
      services: { [record]: [`m1.example.org:${portOf(old.endpoint)}`, 'gone.example.org:1'] },
    });
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const balancer = scenario.balancerWith(
      { through: dns.through },
      '--registry',
      'etcd+srv://example.org',
      ...onLoopback,
    );
    await scenario.serves('web', ['a']);

    // A nameserver that is away changes nothing for those who know the members.
    await dns.stop();
    old.cut();
    await balancer.logged('registry-disconnected');
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);

    const moved = await openWay(target, two);
    await old.close();
    await balancer.logged('registry-disconnected', (line) => String(line['reason']).includes('no nameserver answers for the SRV record _etcd-client._tcp.example.org')); // biome-ignore format: one condition
    await dns.serve({ addresses, services: { [record]: [`m2.example.org:${portOf(moved.endpoint)}`] } });
    await scenario.writeByHand('instances/web/a', b);
    await scenario.serves('web', ['b']);
    await balancer.logged('registry-connected', (line) => line['member'] === moved.endpoint);
  });

  test.each([
    ['an address', 0],
    ['a name that was looked up before', 1],
  ] as const)('a nameserver that is silent holds no end of register up: etcd at %s', async (_, most) => {
    const scenario = await startScenario('etcd');
    const port = scenario.etcd?.members[0]?.clientPort ?? 0;
    const dns = await startNameserver({ addresses: { 'etcd.example.org': ['127.0.0.1'] } });
    const host = most === 0 ? '127.0.0.1' : 'etcd.example.org';
    const what = ['--service', 'web', '--id', 'a', '--address', '127.0.0.1:1'];
    const register = startPointsman(['register', '--registry', `etcd://${host}:${port}`, ...what], dns);
    await register.logged('announced');
    await dns.silence();
    const began = performance.now();
    register.kill('SIGTERM');
    expect(await register.ended).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(1900);
    expect(dns.unanswered()).toBeLessThanOrEqual(most);
    expect(await scenario.etcd?.ctl('get', '--prefix', '/pointsman/instances/')).toBe('');
  });

  test('with TLS the certificate has to be for the name, or for the domain of the SRV records', async () => {
    const { caFile, port } = await startTlsEtcd('etcd.example.org', 'example.org');
    const dns = await startNameserver({});
    const [at = ''] = dns.loopback(1);
    await openWay(port, at, port);
    const services = Object.fromEntries(
      ['example.org', 'example.net'].map((domain) => [`_etcd-client-ssl._tcp.${domain}`, [`m1.example.org:${port}`]]),
    );
    const addresses = { 'etcd.example.org': [at], 'etcd.example.net': [at], 'm1.example.org': [at] };
    await dns.serve({ addresses, services });
    const status = async (registry: string) => {
      const asked = await runPointsman(['status', '--json', '--registry', registry, '--etcd-ca', caFile], dns);
      return asked.code === 0 ? JSON.parse(asked.stdout.join('')).services[0].name : asked.stderr.join('\n');
    };
    expect(await status(`etcds://etcd.example.org:${port}`)).toBe('web');
    expect(await status('etcds+srv://example.org')).toBe('web');
    expect(await status(`etcds://etcd.example.net:${port}`)).toContain("etcd's certificate is for another address");
    expect(await status('etcds+srv://example.net')).toContain("etcd's certificate is for another address");
  });

  test('whatever DNS lacks is said in time', async () => {
    const dns = await startNameserver({ addresses: { 'm1.example.org': ['127.0.0.1'] } });
    const asked = async (registry: string) => {
      const { code, stderr } = await runPointsman(['status', '--registry', registry], dns);
      expect(code).toBe(1);
      return stderr.join('\n');
    };
    expect(await asked('etcd+srv://example.org')).toContain('DNS has no SRV record _etcd-client._tcp.example.org');
    expect(await asked('etcds+srv://example.org')).toContain('DNS has no SRV record _etcd-client-ssl._tcp.example.org');
    expect(await asked('etcd://etcd.example.org:2379')).toContain('the name etcd.example.org has no address in DNS');
    await dns.stop();
    const began = performance.now();
    expect(await asked('etcd+srv://example.org')).toContain('no nameserver answers for the SRV record _etcd-client._tcp.example.org'); // biome-ignore format: one line
    expect(await asked('etcd://etcd.example.org:2379')).toMatch(/no nameserver answer/);
    expect(performance.now() - began).toBeLessThan(30_000);
  });
});
