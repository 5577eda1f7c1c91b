import { chmod, chown, lstat, readdir, readFile, readlink, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** The guide, with this test's folder in place of /etc. */
async function readGuide(dir: string, location: string) {
  const text = await readFile(join(import.meta.dirname, '../../docs/from-confd.md'), 'utf8');
  const here = text.replaceAll('/etc/', `${dir}/`).replaceAll('etcd://127.0.0.1:2379', location);
  const blocks = [...here.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, body = '']) => ({
    language,
    body,
  }));
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ body }) => body.trim().split('\n'));
  return {
    /** The file that a block begins with the name of, and the rest of the block. */
    files: blocks.flatMap(({ body }) => {
      const [, name, rest = ''] = /^# (\/\S+)\n([\s\S]*)$/.exec(body) ?? [];
      return name === undefined ? [] : [{ name, text: rest }];
    }),
    puts: commands.flatMap((line) => (line.startsWith('etcdctl put ') ? [line.split(' ').slice(2)] : [])),
    pointsman: commands.filter((line) => line.startsWith('pointsman ')),
  };
}

test('the guide can be followed, command by command', async () => {
  const files = await startFiles('etcd');
  const guide = await readGuide(files.dir, files.location);
  expect(guide.puts).toHaveLength(4);
  for (const [key = '', value = ''] of guide.puts) await files.put(key, value);
  for (const { name, text } of guide.files) await files.write(name.slice(files.dir.length + 1), text);
  const [diff, once, keep, dryRun, ...more] = guide.pointsman.map((line) => line.split(' ').slice(1));
  expect(more).toEqual([]);

  const expected = `worker_processes 2;
upstream app {
    server 10.0.1.100:80; # APP1
    server 10.0.1.101:80; # APP2
}
server {
    server_name www.example.com;
}
`;
  const shown = await runPointsman([...(diff ?? []), '--log-level', 'silent']);
  expect(shown).toMatchObject({ code: 0, stderr: [] });
  expect(shown.stdout.slice(3).join('\n')).toBe(expected.trimEnd().replaceAll(/^/gm, '+'));
  expect(await files.read('nginx/nginx.conf')).toBe('');

  expect(await runPointsman([...(once ?? []), '--log-level', 'silent'])).toEqual({ code: 0, stdout: [], stderr: [] });
  expect(await files.read('nginx/nginx.conf')).toBe(expected);
  await until('it was reloaded', async () => (await readFile(files.path('nginx/reloaded'))).length === 0);

  const keeping = startPointsman(keep ?? []);
  await keeping.logged('files-kept');
  await files.put('/nginx/root', '/srv/www');
  await files.put('/app/upstream/app3', '10.0.1.102:80');
  const rooted = expected.replace('example.com;\n', 'example.com;\n    root /srv/www;\n');
  await files.becomes('nginx/nginx.conf', rooted.replace('# APP2\n', '# APP2\n    server 10.0.1.102:80; # APP3\n'));
  keeping.kill('SIGTERM');
  await keeping.ended;

  const { code, stdout } = await runPointsman([...(dryRun ?? []), '--log-level', 'silent']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: [`would change ${files.path('nginx/nginx.conf')}`] });
});

describe('a confd folder', () => {
  const resource = (more = '') => `[template]\nsrc = "a.tmpl"\ndest = "DIR/out"\nkeys = ["web", "/title/"]\n${more}\n`;

  async function startConfd(toml: string, template: string) {
    const files = await startFiles('etcd');
    await files.write('confd/conf.d/a.toml', toml.replaceAll('DIR', files.dir));
    await files.write('confd/templates/a.tmpl', template);
    const args = ['files', '--registry', files.location, '--confd-dir', files.path('confd'), '--log-level', 'silent'];
    return { ...files, once: () => runPointsman([...args, '--once']) };
  }

  test('has its prefix, mode and owner', async () => {
    const uid = process.getuid?.() ?? 0;
    const confd = await startConfd(
      resource(`prefix = "/prod"\nmode = "0600"\nuid = ${uid}\nescape = "line"\n`),
      '{{range gets "/web/*"}}{{.Key}}={{.Value}} {{end}}{{getv "/title"}}',
    );
    await confd.put('/prod/web/1', '10.0.0.1:80');
    await confd.put('/prod/title', 'a title');
    await confd.put('/title', 'not this');
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await confd.read('out')).toBe('/web/1=10.0.0.1:80 a title');
  });

  test('may have one prefix for all in confd.toml', async () => {
    const confd = await startConfd(resource(), '{{getv "/title"}}');
    await confd.write('confd/confd.toml', 'backend = "etcdv3"\nprefix = "all"\n');
    await confd.put('/all/title', 'T');
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await confd.read('out')).toBe('T');
  });

  test('may have folders in conf.d, and names each file in it that is not read, once', async () => {
    const confd = await startConfd(resource(), '1');
    await confd.write('confd/conf.d/sub/deep/b.toml', resource().replace('DIR/out', confd.path('b')));
    for (const name of ['c.toml.bak', 'sub/README']) await confd.write(`confd/conf.d/${name}`, 'not TOML');
    await symlink('sub', confd.path('confd/conf.d/link.toml'));
    await symlink('../../../elsewhere.toml', confd.path('confd/conf.d/sub/linked.toml'));
    await confd.write('elsewhere.toml', resource().replace('DIR/out', confd.path('c')));
    const args = ['--registry', confd.location, '--confd-dir', confd.path('confd')];
    const pointsman = startPointsman(['files', ...args, '--once']);
    expect(await pointsman.ended).toMatchObject({ code: 0 });
    expect(await Promise.all(['out', 'b', 'c'].map(confd.read))).toEqual(['1', '1', '1']);
    const inConfD = (name: string) => confd.path(`confd/conf.d/${name}`);
    const skipped = pointsman.log.filter(({ event }) => event === 'confd-file-skipped');
    expect(skipped.map(({ level, path, reason }) => [level, path, reason])).toEqual([
      ['warn', inConfD('c.toml.bak'), 'its name does not end in toml'],
      ['warn', inConfD('link.toml'), 'it is a symbolic link to a folder, and confd does not follow it either'],
      ['warn', inConfD('sub/README'), 'its name does not end in toml'],
    ]);
  });

  test.each([
    ['mode = "rw"', 'x', 'a.toml:5: mode: "rw" is not a mode'],
    ['check_cmd = "a {{.src"', 'x', 'a.toml:5: check_cmd: unclosed action'],
    ['uid = "no"', 'x', 'a.toml:5: uid: it is not a whole number'],
    ['owner = "nobody-of-that-name"', 'x', 'a.toml: this machine has no user "nobody-of-that-name"'],
    ['[tem', 'x', 'a.toml:5:5: it is not TOML: '],
    [
      '',
      'a\n{{getv "/none"}}',
      'a.tmpl:2:3: executing "a.tmpl" at <getv "/none">: error calling getv: key does not exist: /none',
    ],
    ['', 'a\n{{toUper "x"}}', 'a.tmpl:2:3: function "toUper" not defined (did you mean toUpper?)'],
    [
      'escape = "word"',
      '{{getv "/title"}}',
      'a.tmpl:1:3: executing "a.tmpl" at <getv "/title">: the value is not safe as a word',
    ],
  ])('%j with the template %j fails that file alone, with its place', async (toml, template, message) => {
    const confd = await startConfd(resource(toml), template);
    await confd.put('/title', 'two words');
    await confd.write(
      'confd/conf.d/b.toml',
      resource().replace('DIR/out', confd.path('b')).replace('a.tmpl', 'b.tmpl'),
    );
    await confd.write('confd/templates/b.tmpl', '{{getv "/title"}}');
    expect(await confd.once()).toMatchObject({
      code: 1,
      stderr: [expect.stringContaining(message)],
    });
    expect(await confd.read('b')).toBe('two words');
    expect(await confd.read('out')).toBe('');
  });

  test('replaces a file of which only the mode or the owner differs, with its check and its reload', async () => {
    const log = (what: string) => `echo ${what} >> DIR/commands`;
    const uid = process.getuid?.() ?? 0;
    const commands = `check_cmd = "${log('check')}"\nreload_cmd = "${log('reload')}"\n`;
    const confd = await startConfd(resource(`mode = "0600"\nuid = ${uid}\n${commands}`), '1');
    await confd.write('out', '1');
    await chmod(confd.path('out'), 0o644);
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await confd.read('commands')).toBe('check\nreload\n');
    expect((await stat(confd.path('out'))).mode & 0o777).toBe(0o600);
    if (uid !== 0) return;
    await chown(confd.path('out'), 65534, 65534);
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await confd.read('commands')).toBe('check\nreload\ncheck\nreload\n');
    expect((await stat(confd.path('out'))).uid).toBe(0);
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await confd.read('commands')).toBe('check\nreload\ncheck\nreload\n');
  });

  test('replaces a dest that is a symbolic link, unless its target is as the file should be', async () => {
    const confd = await startConfd(resource('mode = "0640"'), '{{getv "/title"}}');
    await confd.put('/title', 'T');
    await confd.write('target', 'T');
    await chmod(confd.path('target'), 0o640);
    await symlink('target', confd.path('out'));
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect(await readlink(confd.path('out'))).toBe('target');
    await confd.put('/title', 'U');
    expect(await confd.once()).toMatchObject({ code: 0 });
    expect((await lstat(confd.path('out'))).isFile()).toBe(true);
    expect([await confd.read('out'), await confd.read('target')]).toEqual(['U', 'T']);
  });

  test('keeps nothing of a text that its check refuses', async () => {
    const confd = await startConfd(resource('check_cmd = "false"'), 'secret');
    expect(await confd.once()).toMatchObject({ code: 1 });
    const names = await readdir(confd.dir);
    expect(names.filter((name) => name.includes('out'))).toEqual([]);
  });

  test('says which settings of confd.toml the command line overrules', async () => {
    const confd = await startConfd(resource(), '{{getv "/title"}}');
    await confd.write('confd/confd.toml', 'backend = "consul"\nprefix = "p"\n');
    await confd.put('/q/title', 'Q');
    const args = ['files', '--registry', confd.location, '--confd-dir', confd.path('confd'), '--prefix', 'q'];
    const pointsman = startPointsman([...args, '--once']);
    expect(await pointsman.ended).toMatchObject({ code: 0 });
    expect(await confd.read('out')).toBe('Q');
    const warned = pointsman.log.filter(({ event }) => event === 'confd-config-overruled');
    expect(warned.map(({ level, setting }) => [level, setting])).toEqual([
      ['warn', 'prefix'],
      ['warn', 'backend'],
    ]);
  });

  test('ends --once with 0 after a reload that failed the first time', async () => {
    const confd = await startConfd(resource('reload_cmd = "false"'), '1');
    expect(await confd.once()).toMatchObject({ code: 1 });
    expect(await confd.once()).toMatchObject({ code: 0, stderr: [] });
    expect(await confd.read('out')).toBe('1');
  });
});
