import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startApps } from './support/app.ts';
import { freePort } from './support/ports.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** A folder with one template of the package, changed. */
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
  // The variable may be there for `status`, so the error names it.
  const env = { POINTSMAN_ADMIN: `127.0.0.1:${scenario.admin}` };
  const byVariable = startPointsman(
    ['balance', '--registry', scenario.location, '--dir', scenario.balancerDir, '--http', `127.0.0.1:${scenario.http}`],
    { env },
  );
  expect((await byVariable.ended).code).toBe(1);
  expect(byVariable.stderr.at(-1)).toContain(`POINTSMAN_ADMIN: cannot listen on 127.0.0.1:${scenario.admin}`);
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

test('a balancer that cannot start leaves no key behind, so nobody waits for it', async () => {
  const scenario = await startScenario('etcd');
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(scenario.http, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const balancer = scenario.balancer('--id', 'b1');
  expect((await balancer.ended).code).toBe(1);
  expect(balancer.stderr.at(-1)).toContain('it is in use');
  expect(await scenario.etcd?.ctl('get', '/pointsman/balancers/', '--prefix')).toBe('');
});

test('a missing HAProxy says how to install it', async () => {
  const scenario = await startScenario('folder');
  const balancer = scenario.balancer('--haproxy', '/nowhere/haproxy');
  expect((await balancer.ended).code).toBe(1);
  expect(balancer.stderr).toHaveLength(1);
  expect(balancer.stderr[0]).toMatch(/\/nowhere\/haproxy does not exist.*apt-get install haproxy/);
});

test('a registry that never answered says that nothing is served before it does', async () => {
  const scenario = await startScenario('folder');
  const balancer = scenario.balancer('--registry', 'etcd://127.0.0.1:1');
  const { msg } = await balancer.logged('registry-disconnected');
  expect(msg).toBe('registry unavailable; HAProxy serves nothing until it answers');
  expect((await scenario.askAdmin('/serving')).status).toBe(503);
});
