import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { RegistrySettings } from '../../settings/registry.ts';
import { checkCommand, reloadCommand } from './commands.ts';
import { readConfdConfig, registryOf } from './config.ts';
import { parseConfdMode } from './mode.ts';
import { readConfdResources } from './resources.ts';

const choices = { mayLack: false, prefix: undefined, syncOnly: false, escape: undefined };

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-confd-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

test.each([
  ['0644', 0o644],
  ['644', 0o644],
  ['0o600', 0o600],
  ['0x1a4', 0o644],
  ['0b110100100', 0o644],
  ['420', 0o420],
  ['04755', 0o755],
  ['493', 493],
])('the mode %s is read', (text, mode) => {
  expect(parseConfdMode(text)).toEqual({ ok: true, value: mode });
});

test('a check is a template that sees the new file', () => {
  expect(checkCommand('nginx -t -c {{.src}}', '/d')).toEqual(['/bin/sh', '-c', 'nginx -t -c {{staged}}']);
  expect(checkCommand('{{if .src}}test -s {{ .src | printf "%q" }}{{end}}', '/d')[2]).toBe('test -s "{{staged}}"');
});

test('a reload is run as it is, unless it names the file', () => {
  expect(reloadCommand("docker ps --format '{{.ID}}'", '/d')[2]).toBe("docker ps --format '{{.ID}}'");
  expect(reloadCommand('cat {{.src}} {{.dest}}', '/d$&')[2]).toBe('cat /d$& /d$&');
});

test('a reload keeps everything in braces but the two names of the file', () => {
  const command = "docker ps --format '{{.Names}} {{.src}}' {{.src.x}} {{ .dest }} {{-.src}} {{";
  expect(reloadCommand(command, '/d')[2]).toBe(command.replace('{{.src}}', '/d'));
});

test('a folder without resources is no error, as with confd', async () => {
  const dir = await folderWith({ 'conf.d/README': '' });
  expect(await readConfdResources(dir, choices)).toMatchObject({
    ...{ files: [], refused: [] },
    notes: [{ reason: 'its name does not end in toml' }, { reason: 'there is no template resource (*.toml) in it' }],
  });
});

test('fields may be in capitals, unknown ones are named, and keys may be missing', async () => {
  const dir = await folderWith({
    'conf.d/a.toml': '[Template]\nSrc = "a"\nDEST = "/out/a"\nUid = 5\ngid = -1\nPrefix = "p//q/"\nreloadcmd = "x"\n',
  });
  const { files, notes, refused } = await readConfdResources(dir, choices);
  expect(refused).toEqual([]);
  expect(files).toMatchObject([
    {
      ...{ dest: '/out/a', src: join(dir, 'templates/a'), syntax: 'confd', escape: 'none' },
      ...{ owner: { user: '5', group: undefined }, reload: undefined },
      keys: { kind: 'foreign', prefix: '/p/q', paths: [] },
    },
  ]);
  expect(notes).toEqual([
    { path: `${join(dir, 'conf.d/a.toml')}:7: reloadcmd`, reason: 'no such field: did you mean reload_cmd?' },
  ]);
});

test('one that cannot be used keeps no other from being used, and of two for one file the later one is', async () => {
  const resource = (dest: string, more = '') =>
    `[template]\nsrc = "a"\ndest = "${dest}"\nkeys = ["/", "a/../b"]\n${more}`;
  const dir = await folderWith({
    'conf.d/1.toml': resource('/out/a'),
    'conf.d/2.toml': '[template\n',
    'conf.d/3.toml': resource('/out/b', 'mode = 420\n'),
    'conf.d/sub/4.toml': resource('/out/a', 'reload_cmd = "x"\n'),
    'conf.d/5toml': resource('/out/c', 'escape = "word"\n'),
    'conf.d/6.toml': resource('/out/d', 'uid = 1.0\n'),
  });
  const { files, notes, refused } = await readConfdResources(dir, { ...choices, syncOnly: true, prefix: '/all' });
  expect(files.map((file) => [file.dest, file.escape, file.where.slice(dir.length)])).toEqual([
    ['/out/a', 'none', '/conf.d/sub/4.toml'],
    ['/out/c', 'word', '/conf.d/5toml'],
  ]);
  expect(files[0]).toMatchObject({ reload: undefined, keys: { prefix: '/all', paths: ['', '/b'] } });
  expect(notes.map(({ path, reason }) => `${path}: ${reason}`.replaceAll(`${dir}/conf.d/`, ''))).toEqual([
    '1.toml: sub/4.toml makes the same file and comes later',
  ]);
  expect(refused.map((fault) => fault.toString().replaceAll(`${dir}/conf.d/`, ''))).toEqual([
    expect.stringMatching(/^2.toml:1:\d+: it is not TOML: /),
    '3.toml:5: mode: it is not a text',
    '6.toml:5: uid: it is not a whole number',
  ]);
});

test('a folder as Kubernetes mounts it has each resource once', async () => {
  const dir = await folderWith({ 'conf.d/..2026/a.toml': '[template]\nsrc = "a"\ndest = "/out/a"\n' });
  await symlink('..2026', join(dir, 'conf.d/..data'));
  await symlink('..data/a.toml', join(dir, 'conf.d/a.toml'));
  const { files, notes } = await readConfdResources(dir, choices);
  expect({ files: files.length, notes }).toEqual({ files: 1, notes: [] });
});

const silent: Extract<RegistrySettings, { kind: 'etcd' }> = {
  ...{ kind: 'etcd', members: [{ host: '127.0.0.1', port: 2379, family: 'ipv4' }], domain: undefined, root: '/' },
  ...{ tls: undefined, login: undefined },
};

test('confd.toml says where the keys are', async () => {
  const dir = await folderWith({
    'confd.toml':
      'backend = "etcdv3"\nnodes = ["https://10.0.0.1:2379", "https://b"]\nprefix = "p"\ninterval = 600\nnoop = true\nlog-level = "warning"\nclient_cakeys = "/ca"\nbasic_auth = true\nusername = "u"\npassword = "pw"\n',
  });
  const config = await readConfdConfig(join(dir, 'confd.toml'), false);
  expect(config).toMatchObject({
    ...{ prefix: 'p', noop: true, syncOnly: undefined, intervalMs: 600_000, logLevel: 'warn', backend: 'etcdv3' },
  });
  expect(registryOf(silent, false, config)).toMatchObject({
    members: [
      { host: '10.0.0.1', port: 2379 },
      { host: 'b', port: 2379 },
    ],
    tls: { ca: '/ca', client: undefined },
    login: { user: 'u', password: { kind: 'text', text: 'pw' } },
  });
  const none = await readConfdConfig(join(dir, 'none.toml'), false);
  expect(none).toMatchObject({ noop: undefined, places: undefined });
  expect(registryOf(silent, false, none)).toEqual(silent);
});

test.each([
  ['nodes = ["a"]\nusername = "u"\npassword = "p"', { login: undefined }],
  ['srv_domain = "example.org"', { domain: '_etcd._tcp.example.org', tls: undefined }],
  ['backend = "etcdv3"\nsrv_domain = "example.org"', { domain: '_etcdv3._tcp.example.org' }],
  ['nodes = ["a"]\nsrv_record = "_x._tcp.example.org."\nscheme = "https"', { domain: '_x._tcp.example.org', tls: {} }],
])('confd.toml with %j is read as confd reads it', async (text, expected) => {
  const dir = await folderWith({ 'confd.toml': text });
  expect(registryOf(silent, false, await readConfdConfig(join(dir, 'confd.toml'), false))).toMatchObject(expected);
});

test('confd.toml is refused for another backend only when its registry is used', async () => {
  const dir = await folderWith({ 'confd.toml': 'backend = "consul"\nnodes = ["10.0.0.1:8500"]\n' });
  const path = join(dir, 'confd.toml');
  await expect(readConfdConfig(path, false)).rejects.toThrow();
  expect(await readConfdConfig(path, true)).toMatchObject({ backend: 'consul', places: undefined });
  await writeFile(path, 'log-level = "nope"\n');
  await expect(readConfdConfig(path, true)).rejects.toThrow();
});

test('the command line says where etcd is, and confd.toml how it is reached', async () => {
  const dir = await folderWith({
    'confd.toml':
      'nodes = ["https://b"]\nclient_cakeys = "/ca"\nclient_cert = "/cert"\nclient_key = "/key"\nbasic_auth = true\nusername = "u"\npassword = "p"\n',
  });
  const config = await readConfdConfig(join(dir, 'confd.toml'), true);
  const client = { cert: '/cert', key: '/key' };
  expect(registryOf(silent, true, config)).toMatchObject({
    ...{ members: silent.members, tls: { ca: '/ca', client }, login: { user: 'u' } },
  });
  const given = { ...silent, tls: { ca: '/other', client: undefined } };
  expect(registryOf(given, true, config)).toMatchObject({ tls: { ca: '/other', client } });
  const directory = { kind: 'directory', path: '/r' } as const;
  expect(registryOf(directory, true, config)).toEqual(directory);
});
