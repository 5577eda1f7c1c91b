import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { putBytes, startFiles } from '../support/files.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** A folder of confd with one resource, and etcd, which takes keys and values of any bytes. A character is a byte. */
async function startFolder(template: string) {
  const files = await startFiles('etcd');
  await files.write('confd/conf.d/a.toml', `[template]\nsrc = "a"\ndest = "${files.path('out')}"\nkeys = ["/k"]\n`);
  await files.write('confd/templates/a', '');
  await writeFile(files.path('confd/templates/a'), template, 'latin1');
  return {
    ...files,
    args: ['files', '--confd-dir', files.path('confd'), '--registry', files.location],
    putBytes: (key: string, value: string) => putBytes(files.location, key, value),
    made: () => readFile(files.path('out'), 'latin1').catch(() => ''),
  };
}

describe('keys and values that are not UTF-8', () => {
  test('reach the file byte by byte', async () => {
    const folder = await startFolder(
      '\xff{{range gets "/k/*"}}{{.Key}}={{.Value}} {{len .Value}} {{printf "%x %q" .Value .Value}}\n{{end}}' +
        '{{range ls "/k"}}[{{.}}]{{end}} {{getv `/k/\xff`}} {{base64Encode (getv "/k/b")}} {{exists "/k/\\xfe"}}',
    );
    await folder.putBytes('/k/\xff', 'one');
    await folder.putBytes('/k/\xfe', 'two');
    await folder.putBytes('/k/b', '\xff\xfe\x80a\xc3\xa9');
    expect(await runPointsman([...folder.args, '--once', '--log-level', 'silent'])).toMatchObject({ code: 0 });
    expect(await folder.made()).toBe(
      '\xff/k/b=\xff\xfe\x80a\xc3\xa9 6 fffe8061c3a9 "\\xff\\xfe\\x80a\xc3\xa9"\n' +
        '/k/\xfe=two 3 74776f "two"\n/k/\xff=one 3 6f6e65 "one"\n' +
        '[b][\xfe][\xff] one //6AYcOp true',
    );
  });

  test('reach the file when they change while the folder is watched', async () => {
    const folder = await startFolder('{{range gets "/k/*"}}{{.Key}}={{.Value}};{{end}}');
    await folder.putBytes('/k/\xe9', 'a\xa0');
    const pointsman = startPointsman(folder.args);
    await pointsman.logged('files-kept');
    await until('the file is made', async () => (await folder.made()) === '/k/\xe9=a\xa0;');
    await folder.putBytes('/k/\xe8', '\xfd');
    await folder.putBytes('/k/\xe9', 'a\xa1');
    await until('the file has the new bytes', async () => (await folder.made()) === '/k/\xe8=\xfd;/k/\xe9=a\xa1;');
  });

  test('of the environment reach the file, too', async () => {
    const folder = await startFolder('{{getv "/k/e"}} {{getenv "K_E"}} {{getenv "K_U"}}');
    const args = [
      'files',
      '--confd-dir',
      folder.path('confd'),
      '--from-environment',
      '--once',
      '--log-level',
      'silent',
    ];
    const through = ['/bin/sh', '-c', 'K_E="$(printf "\\377\\303\\251\\200")"; export K_E; exec "$@"', 'sh'];
    expect(await runPointsman(args, { through, env: { K_U: 'é\ufffd' } })).toMatchObject({ code: 0 });
    expect(await folder.made()).toBe('\xff\xc3\xa9\x80 \xff\xc3\xa9\x80 \xc3\xa9\xef\xbf\xbd');
  });
});

test('a key that ends in a slash is the key without it, as with confd', async () => {
  const folder = await startFolder(
    '{{range gets "/k/*"}}{{.Key}}={{.Value}};{{end}} {{ls "/k"}} {{lsdir "/k"}} {{getv "/z" "-"}}',
  );
  for (const [key, value] of [
    ['/k/a', '1'],
    ['/k/b/', '2'],
    ['/k//c', '3'],
    ['/k/../z', '4'],
    ['/k/a/', 'the key itself comes first'],
  ] as const)
    await folder.putBytes(key, value);
  expect(await runPointsman([...folder.args, '--once', '--log-level', 'silent'])).toMatchObject({ code: 0 });
  expect(await folder.made()).toBe('/k/a=1;/k/b=2;/k/c=3; [a b c] [] 4');
});
