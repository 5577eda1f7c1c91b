import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { describeProblem } from '../model/problem.ts';
import { readDeclarations } from './read-declarations.ts';

async function folderOf(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pm-declared-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

async function read(paths: readonly string[]) {
  const { declared, problems } = await readDeclarations(paths, () => Promise.resolve(Buffer.from('keys: {a: b}')));
  return {
    values: Object.fromEntries(declared.map(({ key, value }) => [key, value])),
    problems: problems.map((one) => describeProblem(one).replaceAll(/\/\S*\/pm-declared-[^/]*\//g, '')),
  };
}

test('a folder of declarations has other files as well, which declare nothing', async () => {
  const folder = await folderOf({
    'shop.yaml': 'services: {web: {}}',
    'more/b.yml': 'keys: {a: b}',
    'more/c.json': '{"claims": {"*": {}}}',
    'services/api.json': '{"maxconn":1}',
    'services/db.yaml': 'services: {db: {}}',
    'pointsman.schema.json': '{"type":"object"}',
    'README.md': '# services',
    '.git/d.yaml': '[',
    'e.yaml~': '[',
  });
  expect(await read([folder])).toEqual({
    values: {
      'claims/*': '{}',
      'keys/a': 'b',
      'services/api': '{"maxconn":1}',
      'services/db': '{}',
      'services/web': '{}',
    },
    problems: [],
  });
});

test('a folder without declarations is a tree of keys, as a directory registry has it', async () => {
  const folder = await folderOf({
    'services/web': '{}\n',
    'services/api.json': '{}',
    'instances/web/a': '10.0.0.1:80\n',
    'keys/app/config.yaml': 'level: info\n',
    '.pointsman/journal': 'x',
  });
  expect(await read([folder])).toEqual({
    values: {
      'instances/web/a': '10.0.0.1:80',
      'keys/app/config.yaml': 'level: info',
      'services/api': '{}',
      'services/web': '{}',
    },
    problems: [],
  });
});

test('a file is a policy by its name if it is JSON that names no area', async () => {
  const folder = await folderOf({
    'web.json': '{"maxconn":1}',
    'bare.yaml': 'maxconn: 1',
    'tree.json': '{"services": {"api": {}}}',
    'deploy/bare.json': '{"maxconn":1}',
    'deploy/a.yaml': '',
  });
  const at = (name: string) => join(folder, name);
  const hint = 'this is a policy, and it has no service (declare it under services:, below the name of its service)';
  expect(await read([at('web.json'), at('bare.yaml'), at('tree.json'), at('deploy')])).toEqual({
    values: { 'services/web': '{"maxconn":1}', 'services/api': '{}' },
    problems: [`bare.yaml:1:1: ${hint}`, `deploy/bare.json:1:2: ${hint}`],
  });
});

test('the files of a ConfigMap are links, and a linked folder is left out', async () => {
  const folder = await folderOf({ '..data/a.yaml': 'keys: {a: b}' });
  await symlink('..data/a.yaml', join(folder, 'a.yaml'));
  await symlink('.', join(folder, 'circle'));
  expect(await read([folder])).toEqual({ values: { 'keys/a': 'b' }, problems: [] });
});

test('a key that two files declare, a file that is not UTF-8 and a value that etcd does not take are problems', async () => {
  const folder = await folderOf({
    'a.yaml': 'keys:\n  a: 1\n',
    'b.yaml': Buffer.from('keys:\n  b: "\xff"\n', 'latin1'),
    'c.yaml': `keys:\n  c: ${'x'.repeat(1_600_000)}\n`,
  });
  expect((await read([folder, '-'])).problems).toEqual([
    'b.yaml:2:7: it is not UTF-8 text',
    'c.yaml:2:3: the value of keys/c has 1600000 bytes, more than etcd takes (1572864)',
    'stdin:1:8: keys/a is declared twice (first at a.yaml:2:3)',
  ]);
});

test('a path that is not there is an error of the command line', async () => {
  await expect(readDeclarations(['/nowhere/x.yaml'])).rejects.toMatchObject({
    code: 'usage',
    where: '/nowhere/x.yaml',
  });
});

test('a device without an end is refused', async () => {
  await expect(readDeclarations(['/dev/zero'])).rejects.toMatchObject({
    code: 'usage',
    message: 'it has more than 33554432 bytes',
    where: '/dev/zero',
  });
});

test('a pipe is read as a file is', async () => {
  const folder = await folderOf({ 'a.yaml': '' });
  const pipe = join(folder, 'pipe.yaml');
  await promisify(execFile)('mkfifo', [pipe]);
  const reading = read([pipe]);
  await writeFile(pipe, 'keys: {a: b}');
  expect(await reading).toEqual({ values: { 'keys/a': 'b' }, problems: [] });
});

test('a pipe in a folder, named as declarations are, is refused before it is read', async () => {
  const folder = await folderOf({ 'a.yaml': '' });
  await promisify(execFile)('mkfifo', [join(folder, 'pipe.yaml')]);
  await expect(readDeclarations([folder])).rejects.toMatchObject({
    code: 'usage',
    message: 'it is no regular file',
    where: join(folder, 'pipe.yaml'),
  });
});

test('a file of a tree of keys in a folder of declarations is refused: --prune would remove its key', async () => {
  const folder = await folderOf({ 'a.yaml': 'services: {api: {}}', 'services/OWNERS': 'ops', 'services/web': '{}' });
  await expect(readDeclarations([folder])).rejects.toMatchObject({
    code: 'usage',
    message: 'this folder has declarations, so a file without an ending declares nothing',
    where: join(folder, 'services/web'),
    hint: 'name it web.json, or remove it',
  });
});

test('a file that is given twice is one problem', async () => {
  const folder = await folderOf({ 'a.yaml': 'services: {api: {}, web: {}}' });
  const file = join(folder, 'a.yaml');
  expect((await read([file, file])).problems).toEqual(['a.yaml:1:12: this file is given twice']);
  await expect(readDeclarations([join(folder, 'none.yaml')])).rejects.toMatchObject({
    message: 'it cannot be read: no such file or directory',
  });
});
