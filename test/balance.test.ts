import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { signal } from '../src/haproxy/process-signal.ts';
import { startApps } from './support/app.ts';
import { freePort } from './support/ports.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

describe.each(['folder', 'etcd'] as const)('with the registry in %s', (kind) => {
  test('instances that register are served, and those that leave or die are not', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
    const balancer = scenario.balancer();
    const [one, two] = [scenario.register('a', a), scenario.registerMortal('b', b)];
    scenario.register('c', c);
    await balancer.logged('serving');
    await scenario.serves('web', ['a', 'b', 'c']);

    one.kill('SIGTERM');
    expect(await one.ended).toEqual({ code: 0, signal: null });
    await scenario.serves('web', ['b', 'c']);

    two.kill('SIGKILL');
    await scenario.serves('web', ['c'], 20_000);
    expect(balancer.log.filter(({ event }) => event === 'reloaded').length).toBeLessThanOrEqual(1);
  });

  test('a key written by hand is served like a registration', async () => {
    const scenario = await startScenario(kind);
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/w1', `${a}\n`.trim());
    await scenario.balancer().logged('serving');
    await scenario.serves('web', ['a']);
  });

  test('a balancer that is ended ends its HAProxy, and the next one begins where it was', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = ''] = await startApps('a', 'b');
    scenario.register('a', a);
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    first.kill('SIGTERM');
    expect(await first.ended).toEqual({ code: 0, signal: null });
    await expect(scenario.ask('web')).rejects.toThrow('ECONNREFUSED');

    scenario.register('b', b);
    scenario.balancer();
    await scenario.serves('web', ['a', 'b']);
  });

  test('a balancer that is killed interrupts nothing, and the next one takes over without a reload', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = ''] = await startApps('a', 'b');
    scenario.register('a', a);
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    // HAProxy serves a moment before its start is known to be done; killed just then, the next one reloads to be sure.
    await first.logged('serving');
    first.kill('SIGKILL');
    await first.ended;
    expect(await scenario.answers('web')).toEqual(['a']);

    scenario.register('b', b);
    const second = scenario.balancer();
    await second.logged('haproxy-adopted');
    await scenario.serves('web', ['a', 'b']);
    expect(second.log.filter(({ event }) => event === 'reloaded')).toEqual([]);

    // It is not a child of this one, and is looked after all the same.
    const { masterPid, workerPid } = (await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000)) ?? {};
    for (const pid of [masterPid, workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
    await second.logged('haproxy-exited');
    await scenario.serves('web', ['a', 'b'], 20_000);
  });

  test('metrics, health and status tell what is going on', async () => {
    const scenario = await startScenario(kind);
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/a', a);
    await scenario.writeByHand('instances/web/bad', '10.0.0.1:http');
    const balancer = scenario.balancer();
    await balancer.logged('serving');
    await until('the revision is applied', async () => {
      const { revisionSeen, revisionApplied } = JSON.parse((await scenario.askAdmin('/status')).body);
      return revisionSeen === revisionApplied;
    });
    expect(await scenario.askAdmin('/healthz')).toEqual({ status: 200, body: 'ok\n' });
    expect(await scenario.askAdmin('/readyz')).toEqual({ status: 200, body: 'ready\n' });
    const metrics = (await scenario.askAdmin('/metrics')).body;
    expect(metrics).toContain('pointsman_instances{service="web"} 1');
    expect(metrics).toContain('pointsman_registry_connected 1');
    expect(metrics).toContain('pointsman_rejected_entries 1');
    const { rejected } = JSON.parse((await scenario.askAdmin('/status')).body);
    expect(rejected).toEqual([
      { key: 'instances/web/bad', reason: '"http" is not a port: 1 to 65535', lastGoodServes: false },
    ]);
  });
});

describe("a tree in another's layout", () => {
  test('is served as it is', async () => {
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

  test('is served as Traefik reads it: keys without a slash, fields in any case, relative weights', async () => {
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

  test('is served from a folder, too', async () => {
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

  test('that nobody knows is refused with those that are known', async () => {
    const { code, stderr } = await runPointsman(['balance', '--layout', 'kubernetes', '--registry', 'dir:/nowhere']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: [expect.stringContaining('known are plain, registrator')] });
  });
});

describe('etcd that goes away', () => {
  test('changes nothing, and what changed meanwhile is served when it is back', async () => {
    const scenario = await startScenario('etcd');
    const [member] = scenario.etcd?.members ?? [];
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const balancer = scenario.balancer();
    await scenario.serves('web', ['a']);
    await member?.stop();
    await balancer.logged('registry-disconnected');
    expect(await scenario.answers('web')).toEqual(['a']);

    member?.start();
    await scenario.etcd?.healthy();
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);
  });
});

describe('instances that are lost all at once', () => {
  test('are held by the balancer until an operator says that the loss is real', async () => {
    const scenario = await startScenario('etcd');
    const apps = await startApps('a', 'b', 'c', 'd');
    const registrations = ['a', 'b', 'c', 'd'].map((id, i) => scenario.registerMortal(id, apps[i] ?? ''));
    const balancer = scenario.balancer('--guard-window', '20s');
    await scenario.serves('web', ['a', 'b', 'c', 'd']);
    for (const registration of registrations) registration.kill('SIGKILL');
    await balancer.logged('guard-held');
    await until('all are held', async () => {
      const { guarded } = JSON.parse((await scenario.askAdmin('/status')).body);
      return guarded[0]?.instances.length >= 3;
    });
    expect((await scenario.answers('web')).length).toBeGreaterThanOrEqual(3);
    const { code, stdout } = await runPointsman(['release', 'web', '--registry', scenario.location]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: [expect.stringContaining('web: balancers let go')] });
    await balancer.logged('guard-let-go', ({ reason }) => reason === 'released');
    await until('nobody serves', async () => (await scenario.ask('web')).status >= 400);
  });
});

describe('what is wrong', () => {
  const ownTemplate = async (dir: string, name: string, change: (text: string) => string): Promise<string> => {
    const folder = join(dir, 'templates');
    await mkdir(folder, { recursive: true });
    const shipped = await readFile(join(import.meta.dirname, '../templates', name), 'utf8');
    await writeFile(join(folder, name), change(shipped));
    return folder;
  };

  test('a template that cannot be read is named with its line', async () => {
    const scenario = await startScenario('folder');
    const folder = await ownTemplate(scenario.dir, 'server.mustache', () => 'server {{id}} {{addres}}\n');
    const { code, stderr } = await runPointsman(['balance', '--registry', scenario.location, '--dir', scenario.balancerDir, '--haproxy-templates', folder]); // biome-ignore format: one command
    expect(code).toBe(1);
    expect(stderr).toHaveLength(1);
    expect(stderr[0]).toContain(`${folder}/server.mustache:1:15: {{addres}} is not known to this template`);
  });

  test('a template that HAProxy refuses is named with its line, and the last good configuration serves', async () => {
    const scenario = await startScenario('folder');
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    first.kill('SIGTERM');
    await first.ended;

    const folder = await ownTemplate(scenario.dir, 'haproxy.cfg.mustache', (text) =>
      text.replace('option dontlognull', 'option frobnicate'),
    );
    const second = scenario.balancer('--haproxy-templates', folder);
    const refused = await second.logged('config-refused');
    expect(refused.msg).toMatch(/haproxy\.cfg\.refused:\d+ \(made by .*templates\/haproxy\.cfg\.mustache:\d+\)/);
    expect(refused.msg).toContain('frobnicate');
    await scenario.serves('web', ['a']);
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);
    expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_reload_last_failed 1');
  });

  test('templates are read again when they change, and a broken one changes nothing', async () => {
    const scenario = await startScenario('folder');
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/a', a);
    const folder = await ownTemplate(scenario.dir, 'backend.mustache', (text) => text);
    const balancer = scenario.balancer('--haproxy-templates', folder);
    await balancer.logged('serving');
    await ownTemplate(scenario.dir, 'backend.mustache', (text) => `${text.trimEnd()}\n    {{frobnicate}}\n`);
    const refused = await balancer.logged('template-refused');
    expect(refused.msg).toContain('{{frobnicate}} is not known to this template');
    expect(await scenario.answers('web')).toEqual(['a']);

    await ownTemplate(scenario.dir, 'backend.mustache', (text) =>
      text.replace('{{policy}}\n', '{{policy}}\n    http-request return status 418\n'),
    );
    await until('the new template serves', async () => (await scenario.ask('web')).status === 418);
  });

  test('a port in use is named', async () => {
    const scenario = await startScenario('folder');
    await scenario.writeByHand('instances/web/a', '127.0.0.1:1');
    const taken = createServer();
    const occupy = (port: number) => new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
    const vacate = () => new Promise((resolve) => taken.close(resolve));

    await occupy(scenario.http);
    const http = scenario.balancer();
    expect((await http.ended).code).toBe(1);
    expect(http.stderr.at(-1)).toContain(`cannot listen on 127.0.0.1:${scenario.http}: it is in use`);
    await vacate();

    await occupy(scenario.admin);
    const admin = scenario.balancer();
    expect((await admin.ended).code).toBe(1);
    expect(admin.stderr.at(-1)).toContain(`--admin: cannot listen on 127.0.0.1:${scenario.admin}: it is in use`);
    await vacate();

    // Two HAProxy of one user could listen there side by side.
    const first = scenario.balancer();
    await first.logged('serving');
    const dir = await mkdtemp(join(tmpdir(), 'pm-second-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const second = startPointsman([
      ...['balance', '--registry', scenario.location, '--dir', dir, '--id', 'second'],
      ...['--http', `127.0.0.1:${scenario.http}`, '--admin', `127.0.0.1:${await freePort()}`],
    ]);
    expect((await second.ended).code).toBe(1);
    expect(second.stderr.at(-1)).toMatch(/cannot listen on 127\.0\.0\.1:\d+: it is in use by haproxy \(process \d+\)/);
  });

  test('a missing HAProxy says how to install it', async () => {
    const scenario = await startScenario('folder');
    const balancer = scenario.balancer('--haproxy', '/nowhere/haproxy');
    expect((await balancer.ended).code).toBe(1);
    expect(balancer.stderr).toHaveLength(1);
    expect(balancer.stderr[0]).toMatch(/\/nowhere\/haproxy is not there.*apt-get install haproxy/);
  });

  test('a registry that never answered says that nothing is served before it does', async () => {
    const scenario = await startScenario('folder');
    const balancer = scenario.balancer('--registry', 'etcd://127.0.0.1:1');
    const { msg } = await balancer.logged('registry-disconnected');
    expect(msg).toBe('registry not reached; nothing is served before it answers');
    expect((await scenario.askAdmin('/serving')).status).toBe(503);
  });
});
