import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('what comes from outside steers no terminal, and repeats no secret', async () => {
  const { registry, balancerNamed, acknowledged, location } = await startBalancers('etcd');
  const [a = ''] = await startApps('a');
  const esc = String.fromCharCode(0x1b);
  const csi = String.fromCharCode(0x9b);
  const hostile = `${esc}]0;owned${String.fromCharCode(7)}${csi}2J${String.fromCharCode(0x202e)}`;
  await registry.write('instances/web/a', a);
  await registry.write(`instances/web/${hostile}`, 'x');
  await registry.write('instances/web/b', `{"address":"${hostile}"}`);
  await registry.write('overrides/web/a', JSON.stringify({ kind: 'weight', weight: 9, why: hostile }));
  const secret = (value: string) => JSON.stringify({ headers: { request: { set: { Authorization: value } } } });
  await registry.write('services/web', secret('Bearer BADSECRET\n'));
  await registry.write('services/api', secret('Bearer BADSECRET').replace('}', '"}'));
  await registry.write('services/db', JSON.stringify({ sticky: 'BADSECRET' }));
  const told = { format: 1, cluster: 'x', owner: 'x', version: '1', revision: '1' };
  const false1 = JSON.stringify({ ...told, admin: `127.0.0.1:1${hostile}`, haproxyVersion: hostile });
  await registry.write('balancers/evil', false1, { ttlMs: 60_000 });
  const balancer = await balancerNamed('lb-1');
  const said = await acknowledged('lb-1', 'the policies', ({ refusals }) => refusals.length >= 5);
  expect(said.refusals.map(({ reason }) => reason)).toContainEqual(
    'headers.request.set.Authorization: it is not a header value: character 17 (U+000A) is not printable ASCII',
  );
  const port = balancer.admin;
  const outputs: string[] = [];
  for (const command of [['status', 'web'], ['explain', 'web/b'], ['events'], ['overrides'], ['render']]) {
    for (const json of command[0] === 'render' ? [[]] : [[], ['--json']]) {
      const where = ['--registry', location];
      const admin = command[0] === 'overrides' ? [] : ['--admin', `127.0.0.1:${port}`];
      const { stdout, stderr } = await runPointsman([...command, ...json, ...where, ...admin]);
      outputs.push(...stdout, ...stderr);
    }
  }
  outputs.push(...balancer.process.output);
  const all = outputs.join('\n');
  expect(all).toContain('owned');
  expect(all).not.toMatch(/(?![\n\u200c\u200d])[\p{Cc}\p{Cf}]/u);
  for (const path of ['/status', '/services', '/fleet', '/explain/web/b', '/events']) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    expect(await answer.text(), path).not.toMatch(/(?![\n\u200c\u200d])[\p{Cc}\p{Cf}]/u);
  }
  const status = JSON.stringify(await balancer.status());
  const { entries } = await registry.read('balancers/lb-1');
  expect(all + status + entries[0]?.value).not.toContain('BADSECRET');
});

test('what HAProxy refuses of a line repeats nothing that is quoted there', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  const folder = join(scenario.dir, 'templates');
  await mkdir(folder);
  const shipped = await readFile(join(import.meta.dirname, '../templates/policy.mustache'), 'utf8');
  await writeFile(join(folder, 'policy.mustache'), shipped);
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy-templates', folder);
  await balancer.logged('serving');
  const bad = '    http-request set-header Authorization "Bearer BADSECRET %[BADSECRET]"\n';
  await writeFile(join(folder, 'policy.mustache'), `${shipped.trimEnd()}\n${bad}`);
  await until('it is refused', async () => (await scenario.askAdmin('/status')).body.includes('HAProxy refuses it'));
  const status = (await scenario.askAdmin('/status')).body;
  expect(status + balancer.output.join('\n')).not.toContain('BADSECRET');
});
