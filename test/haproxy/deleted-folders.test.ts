import { access, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { isNightly } from '../support/nightly.ts';
import { issuePem, peerCertificate } from '../support/pem.ts';
import { freePorts } from '../support/ports.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const parts = ['maps', 'state', 'shipped', 'haproxy.cfg', 'run', 'certificates'];
/** All at once, and each alone. */
const cases = [parts, ...(isNightly ? parts.map((part) => [part]) : [])];

/** Files that are there again in the end. The socket of the worker is not, see the runbook. */
const files = [
  'haproxy.cfg',
  'maps/routes.map',
  'maps/rates.map',
  'maps/auth.map',
  'maps/auth-keys/31.pem',
  'state/catalog.json',
  'state/owner',
  'shipped/maintenance.html',
  'run/master.sock',
  'run/lock',
  'certificates/list',
  'certificates/shop.example.com.pem',
];

for (const deleted of cases) {
  test(`${deleted.join(', ')}: deleted under a running balancer is made again, and no request fails`, async () => {
    const scenario = await startScenario('folder');
    const [a = '', b = ''] = await startApps('a', 'b');
    await scenario.writeByHand('instances/web/a', a);
    const certificates = join(scenario.dir, 'operator');
    await mkdir(certificates);
    await issuePem(certificates, 'shop.example.com');
    const [https = 0] = await freePorts(1);
    const balance = () =>
      scenario.balancer(
        '--haproxy',
        haproxyBin,
        '--https',
        `127.0.0.1:${https}`,
        '--log-level',
        'debug',
        '--certificates',
        certificates,
      );
    const balancer = balance();
    await balancer.logged('serving');
    const path = (name: string) => join(scenario.balancerDir, name);
    const modeOf = async (name: string) => (await stat(path(name))).mode;
    const allThere = () =>
      Promise.all(files.map((file) => access(path(file)))).then(
        () => true,
        () => false,
      );
    await until('all is written', allThere);
    const modes = await Promise.all(deleted.map(modeOf));

    let ended = false;
    const failures: string[] = [];
    let requests = 0;
    const asking = (async () => {
      while (!ended) {
        requests += 1;
        const answer = await scenario.ask('web').catch((error: unknown) => ({ status: String(error) }));
        if (answer.status !== 200) failures.push(String(answer.status));
        await pause(5);
      }
    })();
    // pointsman may write into a folder while it is deleted, which rm reports as ENOTEMPTY.
    await Promise.all(deleted.map((name) => rm(path(name), { recursive: true, maxRetries: 20, retryDelay: 5 })));
    await until('all files are there again', allThere);
    expect(await Promise.all(deleted.map(modeOf))).toEqual(modes);

    // Changes by command and by reload are applied again, and a second pointsman is kept out.
    await scenario.writeByHand('services/web', JSON.stringify({ balance: 'leastconn' }));
    await balancer.logged('reloaded', ({ reasons }) => JSON.stringify(reasons).includes('service web'));
    await scenario.writeByHand('instances/web/b', b);
    await scenario.serves('web', ['a', 'b']);
    await until('it is ready', async () => (await scenario.askAdmin('/readyz')).status === 200);
    expect((await peerCertificate(https, 'shop.example.com'))?.subject.CN).toBe('shop.example.com');
    const second = balance();
    await second.ended;
    expect(second.output.join('\n')).toContain('another pointsman uses this folder');
    // A successor adopts HAProxy, and hears what it says although its pipe has no name any more.
    balancer.kill('SIGKILL');
    await balancer.ended;
    const successor = balance();
    await successor.logged('haproxy-adopted');
    await scenario.writeByHand('services/web', JSON.stringify({ balance: 'roundrobin' }));
    await successor.logged('reloaded');
    await successor.logged('haproxy');
    await scenario.serves('web', ['a', 'b']);
    ended = true;
    await asking;
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(20);
    const told = balancer.log.map(({ event }) => event);
    expect(told).not.toContain('haproxy-exited');
    expect(told).not.toContain('quarantined');
  }, 90_000);
}
