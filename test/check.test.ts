import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readVersion } from '../src/haproxy/check.ts';
import { describeFaults, faultsOfVersion } from '../src/haproxy/known-faults.ts';
import { freePort } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';

const shipped = join(import.meta.dirname, '../templates');

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pm-check-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** The lines of `check` about this HAProxy, without all others. */
function faultNotes(version: string): readonly string[] {
  const faults = describeFaults(version);
  return faults === undefined ? [] : [`note: ${faults}`];
}

const check = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await runPointsman(['check', ...args]);
  expect(stderr).toEqual([]);
  return { code, lines: stdout };
};

test('what is in order is asked of HAProxy itself', async () => {
  const folder = await folderOf({
    'pointsman.yaml': 'http: 127.0.0.1:8080\nhttps: 127.0.0.1:8443\ncertificates: /etc/ssl\n',
    'registry/services/web': '{"hosts":["shop.example.com"],"check":{"kind":"http","path":"/health"}}',
    'registry/services/db': '{"mode":"tcp","port":5432}',
    'registry/instances/web/a': '10.0.0.1:80\n',
    'registry/.pointsman/journal': 'not a key',
  });
  const { code, lines } = await check('--config', join(folder, 'pointsman.yaml'), join(folder, 'registry'));
  const version = await readVersion('haproxy');
  expect(lines).toEqual([
    ...faultNotes(version),
    expect.stringMatching(
      /^in order: .*pointsman\.yaml, the shipped templates, 3 entries \(HAProxy \d+\.\d+\S* was asked\)$/,
    ),
  ]);
  const { stdout } = await runPointsman(['check', '--json', join(folder, 'registry')]);
  const { haproxy, haproxyFaults } = JSON.parse(stdout.join(''));
  const known = faultsOfVersion(version).map(({ fault }) => fault.id);
  expect({ haproxy, haproxyFaults }).toEqual({ haproxy: version, haproxyFaults: known });
  expect(code).toBe(0);
});

test('addresses that a balancer could not listen on now are told, but not those of the one that runs there', async () => {
  const scenario = await startScenario('folder');
  await scenario.balancer().logged('serving');
  const taken = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const lines = async (http: string, admin: string) => {
    const { lines } = await check('--listen', '--dir', scenario.balancerDir, '--http', http, '--admin', admin);
    return lines.filter((line) => line.includes('cannot listen'));
  };
  const [own, admin] = [scenario.http, scenario.admin].map((one) => `127.0.0.1:${one}`);
  expect(await lines(`${own}`, `${admin}`)).toEqual([]);
  const inUse = /cannot listen on 127\.0\.0\.1:\d+: it is in use/;
  expect(await lines(`127.0.0.1:${port}`, `${admin}`)).toEqual([expect.stringMatching(inUse)]);
  expect(await lines(`${own}`, `127.0.0.1:${port}`)).toEqual([expect.stringMatching(inUse)]);
  expect(await lines('192.0.2.1:8080', `${admin}`)).toEqual([
    expect.stringMatching(/^HAProxy cannot listen on 192\.0\.2\.1:8080: this machine does not have the address/),
  ]);
});

test('everything that is wrong is told at once, each with its place', async () => {
  const folder = await folderOf({
    'pointsman.yaml': 'http: 127.0.0.1:99999\nreload-intervall: 1s\n',
    'templates/server.mustache': 'server {{id}} {{addres}} weight {{weihgt}}\n',
    'policies/web.json': '{\n  "mode": "gopher",\n  "check": { "kind": "tcp", "frob": 1 }\n}\n',
    'policies/db.json': '{"mode":"tcp" "port":1}',
  });
  const at = (name: string) => join(folder, name);
  const args = ['--config', at('pointsman.yaml'), '--haproxy-templates', at('templates')];
  const { code, lines } = await check(...args, at('policies/web.json'), at('policies/db.json'));
  const places = lines.map((line) => /^\S+?:\d+:\d+(?=: )/.exec(line)?.[0].replace(`${folder}/`, ''));
  expect(places).toEqual([
    'pointsman.yaml:2:1',
    'pointsman.yaml:1:7',
    'templates/server.mustache:1:15',
    'templates/server.mustache:1:33',
    'policies/web.json:2:3',
    'policies/web.json:3:29',
    'policies/db.json:1:15',
    undefined,
  ]);
  expect(lines.at(-1)).toMatch(/^7 problems: .*HAProxy was not asked: the settings are wrong/);
  expect(code).toBe(1);

  const { stdout, code: again } = await runPointsman(['check', ...args, at('policies/web.json'), '--json']);
  const { problems, entries } = JSON.parse(stdout.join(''));
  expect({ again, entries, count: problems.length }).toEqual({ again: 1, entries: 1, count: 6 });
  expect(problems).toContainEqual({ where: `${at('policies/web.json')}:2:3`, file: at('policies/web.json'), line: 2, column: 3, what: 'mode: expected ("http" | "tcp"), not "gopher"' }); // biome-ignore format: one line
});

test('what only HAProxy can find is told with the line of the template, or with the policy', async () => {
  const policy = await readFile(join(shipped, 'policy.mustache'), 'utf8');
  const folder = await folderOf({
    'templates/policy.mustache': `${policy.trimEnd()}\n    frobnicate 1\n{{#httpCheck}}\n    errorfile 503 /nowhere{{path}}\n{{/httpCheck}}\n`,
    'web.json': '{"check":{"kind":"http","path":"/x"}}',
  });
  const templates = join(folder, 'templates');
  const { code, lines } = await check('--haproxy-templates', templates, join(folder, 'web.json'));
  const made = policy.trimEnd().split('\n').length;
  expect(lines[0]).toMatch(
    new RegExp(`^${templates}/policy\\.mustache:${made + 1}:1: HAProxy refuses it: unknown keyword 'frobnicate'`),
  );
  expect(lines.join('\n')).toContain('/nowhere/x');
  expect(code).toBe(1);
  const unasked = await check('--haproxy-templates', templates, join(folder, 'web.json'), '--without-haproxy');
  expect(unasked).toEqual({
    code: 0,
    lines: [expect.stringContaining('HAProxy was not asked: --without-haproxy is set')],
  });
});

test('where there is no HAProxy, the rest is checked all the same', async () => {
  const folder = await folderOf({ 'web.json': '{"hosts":["X"]}' });
  const { code, lines } = await check('--haproxy', '/nowhere/haproxy', join(folder, 'web.json'));
  expect(code).toBe(1);
  expect(lines[0]).toContain('--haproxy: /nowhere/haproxy does not exist');
  expect(lines[1]).toContain('web.json:1:11: hosts.0: "X" is not a host');
  expect(lines.at(-1)).toContain('HAProxy was not asked: /nowhere/haproxy does not exist');
});

test('a folder of templates that is not there, or whose files are named otherwise, is an error', async () => {
  const folder = await folderOf({
    'empty/README.md': 'nothing',
    'typo/servr.mustache': 'server',
    'typo/backend.mustache': await readFile(join(shipped, 'backend.mustache'), 'utf8'),
    'typo/frame.mustache': 'x',
    'typo/haproxy.cfg': 'x',
    'typo/README.md': 'not a template',
    'typo/backend.mustache~': 'an editor left it',
  });
  const templates = (name: string) => check('--haproxy-templates', join(folder, name));
  const nowhere = await templates('nowhere');
  expect(nowhere.lines[0]).toBe(`--haproxy-templates: the folder ${join(folder, 'nowhere')} does not exist`);
  const empty = await templates('empty');
  expect(empty.lines[0]).toContain('holds no template (name its files haproxy.cfg.mustache, policy.mustache');
  const typo = await templates('typo');
  expect(typo.lines.slice(0, -1)).toEqual([
    expect.stringMatching(
      /frame\.mustache: no template has this name, so pointsman does not use the file \(templates are named/,
    ),
    expect.stringMatching(/haproxy\.cfg: no template has this name.*did you mean haproxy\.cfg\.mustache\?/),
    expect.stringMatching(/servr\.mustache: no template has this name.*did you mean server\.mustache\?/),
    ...faultNotes(await readVersion('haproxy')),
  ]);
  expect([nowhere.code, empty.code, typo.code]).toEqual([1, 1, 1]);
  const dir = ['--registry', `dir:${folder}`, '--dir', join(folder, 'b')];
  for (const name of ['nowhere', 'empty', 'typo']) {
    const balance = await runPointsman(['balance', ...dir, '--haproxy-templates', join(folder, name)]);
    expect(balance.stderr.join()).toMatch(/does not exist|holds no template|no template has this name/);
    expect(balance.code).toBeGreaterThan(0);
  }
});

test('a path that a setting names and that is not there is an error', async () => {
  const folder = await folderOf({ 'a-file': 'x' });
  const nope = join(folder, 'nope');
  const https = ['--https', '127.0.0.1:8443', '--certificates'];
  const etcds = ['--registry', 'etcds://127.0.0.1:1'];
  for (const args of [
    ['--registry', `dir:${nope}`],
    ['--registry', `dir:${join(folder, 'a-file')}`],
    ['--server-tls', nope],
    ['--admin-token-file', nope],
    ['--haproxy', nope],
    [...https, nope],
    [...https, join(folder, 'a-file')],
    [...etcds, '--etcd-ca', nope],
    [...etcds, '--etcd-cert', join(folder, 'a-file'), '--etcd-key', nope],
    [...etcds, '--etcd-user', 'u', '--etcd-password-file', nope],
  ]) {
    const { code, lines } = await check(...args);
    expect(lines.join(), args.join(' ')).toContain(args.at(-1)?.replace('dir:', ''));
    expect(lines.at(-1), args.join(' ')).toMatch(/^\d problem/);
    expect(code, args.join(' ')).toBe(1);
    // Where neither HAProxy nor what it needs is, such as in a repository's own checks.
    expect((await check(...args, '--without-haproxy')).code, args.join(' ')).toBe(0);
  }
});

test('an HAProxy that is too old is told as such', async () => {
  const folder = await folderOf({
    haproxy: '#!/bin/sh\necho "HAProxy version 2.2.9-2 2023/12/09 - https://haproxy.org/"\n',
  });
  await chmod(join(folder, 'haproxy'), 0o755);
  const { code, lines } = await check('--haproxy', join(folder, 'haproxy'));
  expect(lines[0]).toContain('is HAProxy 2.2.9, and pointsman needs 2.6 or later');
  expect(code).toBe(1);
});

test('the name of a file steers no terminal and begins no line', async () => {
  const folder = await folderOf({ 'a\u001b[30m\n0 problems.json': '{' });
  const { code, lines } = await check('--without-haproxy', join(folder, 'a\u001b[30m\n0 problems.json'));
  expect(lines).toEqual([
    expect.stringContaining('a\\u001b[30m\\u000a0 problems.json'),
    expect.stringMatching(/^1 problem: /),
  ]);
  expect(code).toBe(1);
});

test('declarations are checked as apply checks them, each field with its place', async () => {
  const folder = await folderOf({
    'deploy/shop.yaml':
      'services:\n  web:\n    hosts: [shop.example.com]\n    check:\n      kind: http\n      pth: /x\n  db: {mode: tcp}\n',
    'deploy/more/values.json': '{\n "keys": {"a": [1]},\n "services": {"web": {}}\n}\n',
    'deploy/README.md': 'services: none',
    'deploy/.git/x.yaml': 'no declarations',
  });
  const at = (name: string) => join(folder, 'deploy', name);
  const { code, lines } = await check('--without-haproxy', join(folder, 'deploy'));
  expect(lines).toEqual([
    `${at('more/values.json')}:2:11: keys/a is a list, and values under keys are texts (to store JSON, quote it: '[1, 2]')`,
    expect.stringMatching(
      `^${at('shop.yaml')}:2:3: services/web is declared twice \\(first at ${at('more/values.json')}:3:15\\)$`,
    ),
    `${at('shop.yaml')}:7:3: port: it is missing, and a tcp service needs its own port`,
    expect.stringMatching(/^3 problems: /),
  ]);
  expect(code).toBe(1);
  const one = await check('--without-haproxy', at('shop.yaml'));
  expect(one.lines[0]).toBe(`${at('shop.yaml')}:6:7: "check.pth" is not a field of a policy (did you mean path?)`);
});

test('what HAProxy refuses is told with the place of the declaration', async () => {
  const folder = await folderOf({
    'shop.yaml': 'services:\n  api: {}\n  web:\n    tls: {ca: missing.pem}\n',
  });
  const { code, lines } = await check(join(folder, 'shop.yaml'));
  expect(lines[0]).toMatch(new RegExp(`^${folder}/shop\\.yaml:4:.*tls\\.ca: missing\\.pem is not in`));
  expect(code).toBe(1);
});

test('a file that a policy names and that is not here is one line for each field, and --without-haproxy does not look for it', async () => {
  const folder = await folderOf({
    'shop.yaml': [
      'services:',
      '  web:',
      '    tls: {ca: missing.pem}',
      '    errorPages: {pages: {4xx: oops, 5xx: there}, intercept: true}',
      '  api:',
      '    errorPages: {pages: {"503": oops}}',
      '    auth: {basic: {users: api.users}}',
      '  good:',
      '    errorPages: {pages: {"503": there}}',
    ].join('\n'),
    'pages/there.html': 'HTTP/1.0 503 Service Unavailable\r\n\r\n',
    'secrets/other.users': '',
    'pems/other.pem': '',
  });
  const file = join(folder, 'shop.yaml');
  const [pages, secrets, pems] = ['pages', 'secrets', 'pems'].map((name) => join(folder, name));
  const folders = ['--error-pages', pages ?? '', '--secrets', secrets ?? '', '--server-tls', pems ?? ''];
  const { code, lines } = await check(file, ...folders);
  const problems = lines
    .filter((line) => line.startsWith(file))
    .map((line) => line.replace(/ \(give the settings.*/, ''));
  expect(problems).toEqual([
    `${file}:4:5: errorPages: oops.html is not in ${pages} (--error-pages)`,
    `${file}:3:11: tls.ca: missing.pem is not in ${pems} (--server-tls)`,
    `${file}:6:5: errorPages: oops.html is not in ${pages} (--error-pages)`,
    `${file}:7:20: auth.basic.users: api.users is not in ${secrets} (--secrets)`,
  ]);
  expect(lines.at(-1)).toMatch(/^4 problems: /);
  expect(code).toBe(1);
  expect((await check(file, '--without-haproxy')).code).toBe(0);
});

test('which certificates a balancer would order is told, and a file of sealing keys that cannot be used', async () => {
  const folder = await folderOf({
    'sealing-keys': 'c2hvcnQ=\n',
    'web.json': '{"hosts":["*.example.com"],"https":{"certificate":"auto","redirect":true}}',
  });
  const keys = join(folder, 'sealing-keys');
  const acme = ['--acme', 'https://127.0.0.1:1/', '--https', '127.0.0.1:8443', '--sealing-keys', keys];
  const { code, lines } = await check(...acme, join(folder, 'web.json'));
  expect(code).toBe(1);
  expect(lines).toContain(
    `--sealing-keys ${keys}: line 1 is not a key: it needs 32 bytes in base64 (openssl rand -base64 32)`,
  );
  expect(lines).toContain('note: *.example.com gets no certificate: a wildcard needs --acme-challenge dns-01');
  expect(lines).toContainEqual(
    expect.stringMatching(/^note: --sealing-keys .* every user of this machine can read it/),
  );
});
