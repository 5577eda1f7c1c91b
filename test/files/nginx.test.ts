import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { startApp } from '../support/app.ts';
import { startFiles } from '../support/files.ts';
import { startNginx } from '../support/nginx.ts';
import { until } from '../support/until.ts';

const examples = join(import.meta.dirname, '../../templates/examples');
const example = (name: string): Promise<string> => readFile(join(examples, name), 'utf8');

async function startApps<const Names extends readonly string[]>(...names: Names) {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => void (await Promise.all(apps.map((app) => app.close()))));
  return apps.map(({ address }) => address);
}

/** A registry, the shipped example templates, and an nginx that is made from them. */
async function startNginxFiles() {
  const files = await startFiles('etcd');
  const nginx = await startNginx(files.path('nginx'));
  for (const name of ['nginx-sites.mustache', 'nginx-server.mustache'])
    await files.write(`t/${name}`, await example(name));
  const { check, reload, conf } = nginx;
  await files.declare({ src: 't/nginx-sites.mustache', dest: conf, escape: 'nginx', check, reload });
  await files.put('/pointsman/keys/nginx/listen', `127.0.0.1:${nginx.port}`);
  const serves = (host: string, answers: string) =>
    until(`${host} is answered by ${answers}`, async () => (await nginx.answers(host)) === answers, {
      deadlineMs: 20_000,
    });
  return { files, nginx, serves };
}

test('nginx serves what the registry says, through joins, leaves, drains and policies', async () => {
  const { files, nginx, serves } = await startNginxFiles();
  const [one = '', two = ''] = await startApps('one', 'two');
  await files.put('/pointsman/instances/web/1', one);
  await files.keep();
  await serves('web', 'one');
  await files.put('/pointsman/instances/web/2', two);
  await serves('web', 'one,two');
  await files.put('/pointsman/instances/web/1', JSON.stringify({ address: one, state: 'draining' }));
  await serves('web', 'two');
  await files.put('/pointsman/services/web', JSON.stringify({ hosts: ['shop.example.com'] }));
  await serves('shop.example.com', 'two');
  await serves('web', 'nobody');
  await files.remove('/pointsman/instances/web/1');
  await files.remove('/pointsman/instances/web/2');
  await until('an empty service says so', async () => (await nginx.answers('shop.example.com')).includes('503'));
  expect(await nginx.errors()).not.toContain('[emerg]');
});

test('what nginx refuses does not reach it, and it is served again when it is mended', async () => {
  const { files, nginx, serves } = await startNginxFiles();
  const [one = '', two = ''] = await startApps('one', 'two');
  await files.put('/pointsman/instances/web/1', one);
  const pointsman = await files.keep();
  await serves('web', 'one');
  const good = await readFile(nginx.conf, 'utf8');

  // Mustache has nothing against it, nginx has.
  await files.write('t/nginx-server.mustache', 'serve {{address}};\n');
  const refused = await pointsman.logged('file-refused');
  expect(refused['reason']).toMatch(
    /the check refuses the new file: sh: it ended with exit code 1: .*unknown directive "serve" in .*\/\.pointsman\.conf\.[0-9a-f]+:\d+/s,
  );
  expect(await readFile(nginx.conf, 'utf8')).toBe(good);
  await serves('web', 'one');

  await files.write('t/nginx-server.mustache', 'server {{adress}};\n');
  expect(await pointsman.logged('template-refused')).toMatchObject({
    reason: expect.stringContaining('t/nginx-server.mustache:1:8: {{adress}} is not known to this template'),
  });
  await files.put('/pointsman/instances/web/2', two);
  await serves('web', 'one');

  await files.write('t/nginx-server.mustache', 'server {{address}};\n');
  await serves('web', 'one,two');
});

describe('the examples', () => {
  test('the settings file for nginx is one', async () => {
    const files = await startFiles();
    const shipped: unknown = parse(await example('pointsman-nginx.yaml'));
    expect(shipped).toMatchObject({
      templates: [{ src: 'nginx-sites.mustache', escape: 'nginx', reload: 'nginx -s reload' }],
    });
    await files.write(
      'pointsman.yaml',
      (await example('pointsman-nginx.yaml')).replaceAll('/etc/nginx', files.path('etc')),
    );
    for (const name of ['nginx-sites.mustache', 'nginx-server.mustache']) await files.write(name, await example(name));
    await files.put('/instances/web/1', '10.0.0.1:80');
    const { code, stdout } = await files.run('--diff');
    expect(code).toBe(0);
    expect(stdout).toContain('+    server 10.0.0.1:80 weight=100; # 1');
  });

  test('targets.json is what Prometheus reads', async () => {
    const files = await startFiles();
    await files.write('t.mustache', await example('targets.json.mustache'));
    await files.declare({ src: 't.mustache', dest: 'targets.json', escape: 'json' });
    await files.put('/instances/web/1', '10.0.0.1:80');
    await files.put('/instances/web/2', '[::1]:80');
    await files.put('/instances/db/1', '10.0.0.3:5432');
    expect(await files.run('--once')).toMatchObject({ code: 0 });
    expect(JSON.parse(await files.read('targets.json'))).toEqual([
      { targets: ['10.0.0.3:5432'], labels: { service: 'db' } },
      { targets: ['10.0.0.1:80', '[::1]:80'], labels: { service: 'web' } },
    ]);
  });

  test('environment.sh is read by sh, whatever the values hold', async () => {
    const files = await startFiles();
    await files.write('t.mustache', await example('environment.sh.mustache'));
    await files.declare({ src: 't.mustache', dest: 'environment.sh', escape: 'shell' });
    const greeting = `it's "$HOME" \`id\`; # no`;
    await files.put('/keys/env/GREETING', greeting);
    await files.put('/keys/env/PLAIN', 'x');
    expect(await files.run('--once')).toMatchObject({ code: 0 });
    const { stdout } = spawnSync('sh', [
      '-c',
      '. "$1"; printf %s "$GREETING$PLAIN"',
      'sh',
      files.path('environment.sh'),
    ]);
    expect(stdout.toString()).toBe(`${greeting}x`);
  });
});
