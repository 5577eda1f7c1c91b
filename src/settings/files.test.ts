import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesCommand } from './files.ts';
import { readSettings } from './read-settings.ts';
import { parseSettingsFile } from './yaml-file.ts';

const machine = { hostname: 'node7', home: '/home/ada', stateHome: undefined, root: false };

function read(yaml: string, ...flags: readonly string[]) {
  const file = yaml === '' ? undefined : parseSettingsFile('/etc/pm/p.yaml', yaml);
  const given = new Map(flags.map((flag) => [flag, flag === 'confd-dir' ? ['/etc/confd'] : []]));
  return readSettings(filesCommand, { flags: given, env: {}, file }, machine);
}

function settings(yaml: string, ...flags: readonly string[]) {
  const reading = read(yaml, ...flags);
  if (!reading.ok) throw new AggregateError(reading.problems, reading.problems.join('\n'));
  return reading.value;
}

test('a file is declared by its template and its place, beside the settings file unless they are absolute', () => {
  expect(settings('templates:\n- src: a.mustache\n  dest: /srv/a.conf\n')).toMatchObject({
    mode: 'watch',
    files: [
      {
        where: '/etc/pm/p.yaml:2:3: templates[0]',
        src: '/etc/pm/a.mustache',
        dest: '/srv/a.conf',
        escape: 'word',
        mode: undefined,
        owner: undefined,
        check: undefined,
        reload: undefined,
        timeoutMs: 30_000,
        wait: { minMs: 100, maxMs: 1000 },
        keys: { kind: 'own' },
      },
    ],
  });
});

test('everything can be said of a file', () => {
  const yaml = `templates:
  - src: /t/a.mustache
    dest: b/a.conf
    escape: nginx
    mode: 0640
    owner: www-data:adm
    check: nginx -t -c {{staged}}
    reload: [sh, -c, 'a && b']
    timeout: 5s
    wait: {min: 1s, max: 10s}
    prefix: /prod/
    keys: [/services/web, /title]
`;
  expect(settings(yaml).files).toMatchObject([
    {
      dest: '/etc/pm/b/a.conf',
      escape: 'nginx',
      mode: 0o640,
      owner: { user: 'www-data', group: 'adm' },
      check: ['nginx', '-t', '-c', '{{staged}}'],
      reload: ['sh', '-c', 'a && b'],
      timeoutMs: 5000,
      wait: { minMs: 1000, maxMs: 10_000 },
      keys: { kind: 'foreign', prefix: '/prod', paths: ['/services/web', '/title'] },
    },
  ]);
});

test.each([
  ['wait: 1s', { minMs: 1000, maxMs: 4000 }],
  ['wait: {min: 2s}', { minMs: 2000, maxMs: 8000 }],
])('%s', (line, wait) => {
  expect(settings(`templates:\n- src: a\n  dest: b\n  ${line}\n`).files[0]?.wait).toEqual(wait);
});

test.each([
  ['once', 'once'],
  ['dry-run', 'dry-run'],
  ['diff', 'diff'],
])('--%s', (flag, mode) => {
  expect(settings('templates:\n- src: a\n  dest: b\n', flag).mode).toBe(mode);
});

const item = (line: string) => `templates:\n- src: a\n  dest: b\n  ${line}\n`;

test.each([
  ['templates: /srv\n', 'p.yaml:1:12: templates: it must be a list'],
  ['templates:\n- a\n', 'p.yaml:2:3: templates[0]: '],
  ['templates:\n- src: a\n', 'p.yaml:2:3: templates[0]: it has no dest'],
  [item('mod: 1'), 'p.yaml:4:3: templates[0].mod: unknown field (did you mean mode?)'],
  [item('mode: 999'), 'p.yaml:4:9: templates[0].mode: "999" is not a mode: three octal digits, as in 0644'],
  [item('owner: a b'), 'p.yaml:4:10: templates[0].owner: "a b" is not user, user:group or :group'],
  [
    item('escape: html'),
    'p.yaml:4:11: templates[0].escape: "html" is not one of word, haproxy, nginx, json, shell, line, none',
  ],
  [item('check: nginx -t'), 'p.yaml:4:10: templates[0].check: it does not name {{staged}}'],
  [item('reload: a && b'), `p.yaml:4:11: templates[0].reload: "&" needs a shell in "a && b": write sh -c '…'`],
  [item('wait: soon'), 'p.yaml:4:9: templates[0].wait: "soon" is not a duration'],
  [item('wait: {min: 2s, max: 1s}'), 'p.yaml:4:9: templates[0].wait: max is less than min'],
  [item('keys: services'), 'p.yaml:4:9: templates[0].keys: '],
  [item('keys: [services]'), 'p.yaml:4:10: templates[0].keys[0]: "services" is not a key that begins with /'],
  [
    'templates:\n- {src: a, dest: b}\n- {src: c, dest: ./b}\n',
    'p.yaml:3:3: templates[1]: /etc/pm/b is also made by /etc/pm/p.yaml:2:3: templates[0]',
  ],
])('%j is refused with its place', (yaml, message) => {
  const reading = read(yaml);
  expect(reading.ok ? [] : reading.problems.map(String)).toEqual([expect.stringContaining(message)]);
});

test('what docs/files.md shows is a settings file', async () => {
  const docs = await readFile(join(import.meta.dirname, '../../docs/files.md'), 'utf8');
  const [, yaml = ''] = /^```yaml\n(# pointsman files[\s\S]*?)^```$/m.exec(docs) ?? [];
  expect(settings(yaml).files).toMatchObject([
    { src: '/etc/pm/nginx-sites.mustache', owner: { user: 'root', group: 'adm' } },
  ]);
});

test('something has to be made', () => {
  expect(() => settings('')).toThrow('no file is declared');
  expect(settings('', 'confd-dir').confdDir).toBe('/etc/confd');
});

test('a call ends in one way', () => {
  expect(() => settings(item('mode: 644'), 'once', 'diff')).toThrow('--diff: it cannot be used with --once');
});
