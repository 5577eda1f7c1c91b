import { expect, onTestFinished, test } from 'vitest';
import { countFaults, faultsOfVersion } from '../src/haproxy/known-faults.ts';
import { startApps } from './support/app.ts';
import { startEtcd } from './support/etcd.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('while the registry is away the balancer of this machine is asked, and says once why', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const [member] = scenario.etcd?.members ?? [];
  await member?.stop();
  await balancer.logged('registry-disconnected');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];

  const status = await runPointsman(['status', 'web', ...where]);
  const text = status.stdout.join('\n');
  expect(text).toContain('does not answer');
  expect(text).toMatch(/^b1 .* serving what it knew .* ago: /m);
  expect(text).toMatch(/^web +1 +1 +1 /m);
  expect(text).toMatch(/^a +127\.0\.0\.1:\d+ +ready .* UP for /m);
  expect(text).toContain('the services are as b1 serves them');
  expect({ code: status.code, stderr: status.stderr }).toEqual({ code: 1, stderr: [] });
  expect((await runPointsman(['explain', 'web/a', ...where])).stdout[0]).toBe('b1: web/a is served: it gets requests');
  expect((await runPointsman(['events', ...where])).stdout.join('\n')).toContain('registry-disconnected');
  const reasons = balancer.log.filter(({ event }) => event === 'registry-disconnected').map(({ reason }) => reason);
  expect(reasons.filter((reason, i) => reason === reasons[i - 1])).toEqual([]);
});

test('status names an admin port that does not answer, and is silent of one that only another machine reaches', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const said = await until('it acknowledges', async () => {
    const text = await scenario.etcd?.ctl('get', '/pointsman/balancers/b1', '--print-value-only');
    return text === '' ? undefined : text;
  });
  const admin = `127.0.0.1:${scenario.admin}`;
  const trouble = async (local: string): Promise<readonly string[]> => {
    const where = ['--registry', scenario.location, '--admin', local];
    return JSON.parse((await runPointsman(['status', '--json', ...where])).stdout.join('')).trouble;
  };
  const { admin: _, ...own } = JSON.parse(said);
  const [nobody = 0] = await freePorts(1);
  // These are of other machines: one whose port is not reached from others, and one whose port nobody answers on.
  const lease = /lease (\w+)/.exec((await scenario.etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
  const say = (id: string, at: string) =>
    scenario.etcd?.ctl(
      ...['put', `/pointsman/balancers/${id}`, JSON.stringify({ ...own, owner: id, admin: at }), `--lease=${lease}`],
    );
  await say('far', `127.0.0.1:${nobody}`);
  await say('gone', `no.invalid:${nobody}`);
  const gone = expect.stringMatching(
    new RegExp(`^gone: its admin port no\\.invalid:${nobody} does not answer: .*no\\.invalid`),
  );
  expect(await trouble(admin)).toEqual([gone]);

  balancer.kill('SIGSTOP');
  const silent = `the admin port of this machine, ${admin}, does not answer: no answer within 2s`;
  expect(await trouble(admin)).toEqual([gone, silent]);
  // Another port, where no balancer runs, is nobody's trouble.
  expect(await trouble(`127.0.0.1:${nobody}`)).toEqual([gone]);
  balancer.kill('SIGCONT');
  await until('it answers again', async () => (await trouble(admin)).length === 1);
});

test('status tells an outage from servers that it cannot see, and what is served from what is written', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('services/web', '{"hosts":["shop.example.com"]}');
  await scenario.balancer('--id', 'b1').logged('serving');
  await scenario.serves('shop.example.com', ['a']);
  await until('it acknowledges', async () => (await scenario.etcd?.ctl('get', '/pointsman/balancers/b1')) !== '');
  const here = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const [nobody = 0] = await freePorts(1);
  const elsewhere = ['--registry', scenario.location, '--admin', `127.0.0.1:${nobody}`];
  const show = async (...args: readonly string[]) => {
    const { code, stdout } = await runPointsman(args);
    return { code, text: stdout.join('\n') };
  };

  const blind = await show('status', ...elsewhere);
  expect(blind.code).toBe(1);
  expect(blind.text).toMatch(/NOT ASKED\n {2}b1: its admin port listens on its own machine only/);
  expect(blind.text).toMatch(/^b1 .* not asked; it acknowledges$/m);
  expect((await show('explain', 'web/a', ...elsewhere)).text).toContain('give --admin HOST:PORT');

  await scenario.writeByHand('services/web', '{"hostz":["other.example.com"]}');
  const explained = await until('the policy is rejected', async () => {
    const { text } = await show('explain', 'web/a', ...here);
    return text.includes('the newest policy is rejected') ? text : undefined;
  });
  expect(explained).toContain('the last good policy serves');
  const seen = await show('status', ...here);
  expect(seen.code).toBe(0);
  expect(seen.text).toMatch(/^web .* shop\.example\.com\/? +last good policy; the newest is rejected$/m);
  expect(seen.text).not.toContain('NOT ASKED');

  await runPointsman(['maintenance', 'web', '--why', 'new disk', '--registry', scenario.location]);
  expect((await show('status', ...here)).text).toMatch(
    /DOWN\n {2}web: no instance takes new requests \(0 of 1\): maintenance by \S+ \(new disk\), until it is cleared/,
  );
});

test('without a balancer the registry is shown, and that nobody serves it', async () => {
  const scenario = await startScenario('folder');
  await scenario.writeByHand('instances/web/a', '10.0.0.1:80');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const status = await runPointsman(['status', ...where]);
  expect(status.stdout.join('\n')).toContain('no balancer is known to the registry');
  expect(status.stdout.join('\n')).toMatch(/^web +1 +1 +- /m);
  const explained = await runPointsman(['explain', 'web/a', ...where]);
  expect(explained.code).toBe(1);
  expect(explained.stderr.join()).toContain('the registry lists no balancer');
});

test('a balancer of another root or registry on this machine is named, and not taken for one of these', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--id', 'b1');
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  await until('it acknowledges', async () => (await scenario.etcd?.ctl('get', '/pointsman/balancers/b1')) !== '');
  // The same id under another root: its acknowledgement is as if that balancer had been stopped a moment ago.
  const lease = /lease (\w+)/.exec((await scenario.etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
  const said = (await scenario.etcd?.ctl('get', '/pointsman/balancers/b1', '--print-value-only')) ?? '';
  const { admin: _, ...private_ } = JSON.parse(said);
  await scenario.etcd?.ctl('put', '/other/balancers/b1', JSON.stringify(private_), `--lease=${lease}`);
  const here = ['--admin', `127.0.0.1:${scenario.admin}`];
  const own = ['--registry', scenario.location, ...here];
  const elsewhere = await startEtcd();
  onTestFinished(() => elsewhere.close());

  const status = JSON.parse((await runPointsman(['status', '--json', ...own])).stdout.join(''));
  expect(status).toMatchObject({ balancers: [{ id: 'b1', up: { web: 1 } }], trouble: [] });
  const stranger = `b1 of ${scenario.location}/pointsman/ answers at 127.0.0.1:${scenario.admin}, but it follows another registry or root`;

  const otherRoot = [...own, '--root', '/other/'];
  const other = JSON.parse((await runPointsman(['status', '--json', ...otherRoot])).stdout.join(''));
  expect(other).toMatchObject({ services: [], trouble: [expect.stringContaining(stranger)] });
  expect(other.balancers).toEqual([
    {
      id: 'b1',
      admin: { reason: expect.any(String) },
      up: {},
      revision: expect.any(String),
      haproxyVersion: expect.any(String),
      haproxyFaults: faultsOfVersion(other.balancers[0].haproxyVersion).map(({ fault }) => fault.id),
    },
  ]);
  const note = countFaults(other.balancers[0].haproxyVersion);
  const shown = (await runPointsman(['status', ...otherRoot])).stdout.join('\n');
  expect(shown.includes('note: HAProxy')).toBe(note !== undefined);
  expect(shown).toContain(note ?? '');
  const explained = await runPointsman(['explain', 'web/a', ...otherRoot]);
  expect(explained.stdout).toEqual([
    expect.stringContaining('b1: not known: its admin port listens on its own machine only'),
  ]);
  const events = await runPointsman(['events', ...otherRoot]);
  expect({ code: events.code, stdout: events.stdout }).toEqual({ code: 1, stdout: [] });
  expect(events.stderr.join('\n')).toContain(stranger);

  // The same root, in another cluster.
  const otherCluster = ['--registry', elsewhere.location, ...here];
  const third = JSON.parse((await runPointsman(['status', '--json', ...otherCluster])).stdout.join(''));
  expect(third).toMatchObject({ balancers: [], trouble: [expect.stringContaining(stranger)] });
  const unexplained = await runPointsman(['explain', 'web/a', ...otherCluster]);
  expect({ code: unexplained.code, stdout: unexplained.stdout }).toEqual({ code: 1, stdout: [] });
  expect(unexplained.stderr.join('\n')).toContain(stranger);
});

test('status shows what is served: the policy before one that HAProxy refuses, and a port while etcd is away', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  const [port = 0] = await freePorts(1);
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/db/a', a);
  await scenario.writeByHand('services/web', '{"hosts":["old.example.com"]}');
  await scenario.writeByHand('services/db', JSON.stringify({ mode: 'tcp', port }));
  const balancer = scenario.balancer();
  await scenario.serves('old.example.com', ['a']);
  await scenario.writeByHand('services/web', '{"hosts":["new.example.com"],"tls":{"ca":"missing.pem"}}');
  await balancer.logged('quarantined');
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const status = async () => (await runPointsman(['status', ...where])).stdout.join('\n');
  await until('the last good one is shown', async () => /^web .* old\.example\.com/m.test(await status()));
  expect(await status()).not.toContain('new.example.com');
  expect(await status()).toMatch(new RegExp(`^db .* tcp port ${port}`, 'm'));
  await scenario.etcd?.members[0]?.stop();
  await balancer.logged('registry-disconnected');
  expect(await status()).toMatch(new RegExp(`^db .* tcp port ${port}`, 'm'));
});
