import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { rawText } from '../model/raw-text.ts';
import { revision } from '../model/revision.ts';
import type { Entry, RegistryEvent } from '../registry/registry.ts';
import type { EscapeName, KeySelection } from '../settings/file-declaration.ts';
import { loadFileTemplate } from './file-template.ts';
import { foreignPaths, RegistrySources } from './sources.ts';

const own: KeySelection = { kind: 'own' };

function snapshot(entries: Readonly<Record<string, string>>): RegistryEvent {
  const map = new Map<string, Entry>();
  for (const [key, value] of Object.entries(entries)) {
    map.set(key, { key, value, revision: revision(1n), leased: false });
  }
  return { kind: 'snapshot', history: { kind: 'first' }, revision: revision(1n), cluster: 'test', entries: map };
}

/** Writes the files into a folder of their own, and renders `main.mustache`. */
async function render(
  files: Readonly<Record<string, string>> | string,
  entries: Readonly<Record<string, string>> = {},
  { as = 'word', keys = own }: { as?: EscapeName; keys?: KeySelection } = {},
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-template-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await mkdir(dir, { recursive: true });
  for (const [name, text] of Object.entries(typeof files === 'string' ? { 'main.mustache': files } : files)) {
    await writeFile(join(dir, name), text);
  }
  try {
    const { uses, render: run } = await loadFileTemplate(join(dir, 'main.mustache'), as);
    const sources = new RegistrySources(foreignPaths([keys]), { HOME: '/root' });
    const event = snapshot(entries);
    sources.offer(event);
    sources.serve(foldEvent(emptyCatalog, event).catalog);
    for (const path of foreignPaths([keys])) sources.offerForeign(path, event);
    return run(sources.view({ uses, keys }));
  } catch (error) {
    return String(error).replaceAll(`${dir}/`, '');
  }
}

const web = {
  'services/web': '{"hosts":["shop.example.com"],"paths":["/","/api"],"balance":"roundrobin"}',
  'instances/web/b': '{"address":"10.0.0.2","port":80,"state":"draining","zone":"eu","meta":{"rack":"7"}}',
  'instances/web/a': '[::1]:80',
  'instances/db/x': '10.0.0.9:5432',
};

describe('services', () => {
  test('are sorted, with their policies and instances', async () => {
    const template = `{{#services}}{{name}} {{mode}} {{balance}}{{#routes}}{{#hosts}} {{value}}{{/hosts}}{{#paths}} {{value}}{{/paths}}{{/routes}}
{{#instances}}- {{id}} {{address}} {{host}} {{port}} {{weight}} {{state}}{{^up}} down{{/up}}{{#zone}} zone {{zone}}{{/zone}} {{meta.rack}}
{{/instances}}{{/services}}`;
    expect(await render(template, web)).toBe(`db http roundrobin db db.* /
- x 10.0.0.9:5432 10.0.0.9 5432 100 ready 
web http roundrobin shop.example.com / /api
- a [::1]:80 ::1 80 100 ready 
- b 10.0.0.2:80 10.0.0.2 80 100 draining down zone eu 7
`);
  });

  test('can be named, and show their policy as it was declared', async () => {
    expect(
      await render(
        '{{#service.web}}{{name}} {{policy.balance}}{{#policy.hosts}} {{.}}{{/policy.hosts}}{{/service.web}}',
        web,
      ),
    ).toBe('web roundrobin shop.example.com');
    expect(await render('{{#service.none}}x{{/service.none}}{{^service.none}}none{{/service.none}}', web)).toBe('none');
  });

  test('say what is first and last, for commas', async () => {
    const template =
      '[{{#services}}{"name": {{name}}, "to": [{{#instances}}{{address}}{{^last}}, {{/last}}{{/instances}}]}{{^last}}, {{/last}}{{/services}}]';
    expect(JSON.parse(await render(template, web, { as: 'json' }))).toEqual([
      { name: 'db', to: ['10.0.0.9:5432'] },
      { name: 'web', to: ['[::1]:80', '10.0.0.2:80'] },
    ]);
  });
});

describe('keys', () => {
  const keys = {
    'keys/nginx/workers': '4',
    'keys/nginx/empty': '',
    'keys/app/db.host': 'db1',
    'keys/app/db': 'own value',
    'keys/up/b': '10.0.0.2:80',
    'keys/up/a': '10.0.0.1:80',
    'keys/sites/x/port': '81',
    'keys/sites/x/json': '{"Id":"i1","tags":["t","u"],"constructor":"c"}',
    'keys/sites/y/port': '82',
    'keys/constructor': 'a name like any other',
  };

  test.each([
    ['{{keys.nginx.workers}}', '4'],
    ['{{#keys.nginx.workers}}is there: {{.}}{{/keys.nginx.workers}}', 'is there: 4'],
    ['{{#keys.nginx.empty}}is there, too{{/keys.nginx.empty}}', 'is there, too'],
    ['{{^keys.nginx.none}}not there{{/keys.nginx.none}}', 'not there'],
    ['{{keys.app.db}} {{keys.app.db.host}}', 'own value db1'],
    ['{{#keys.up.*}}{{name}}={{value}}{{^last}}, {{/last}}{{/keys.up.*}}', 'a=10.0.0.1:80, b=10.0.0.2:80'],
    ['{{#keys.up.*}}{{key}} {{/keys.up.*}}', '/up/a /up/b '],
    ['{{#keys.sites.*/}}{{name}}:{{here.port}} {{/keys.sites.*/}}', 'x:81 y:82 '],
    ['{{#keys.sites.*/}}{{#*}}{{name}} {{/*}}{{/keys.sites.*/}}', 'json port port '],
    [
      '{{#keys.sites.x.*}}{{#json.Id}}{{json.Id}}{{#json.tags}} {{.}}{{/json.tags}}{{/json.Id}}{{/keys.sites.x.*}}',
      'i1 t u',
    ],
    ['{{keys.constructor}}', 'a name like any other'],
    ['{{env.HOME}}', '/root'],
  ])('%s', async (template, expected) => {
    expect(await render(template, keys, { as: 'line' })).toBe(expected);
  });

  test.each([
    [
      'a\n {{keys.nginx.none}}',
      'main.mustache:2:2: {{keys.nginx.none}} is not there (if it may be left out: {{#keys.nginx.none}}…{{/keys.nginx.none}})',
    ],
    ['{{keys.up}}', 'main.mustache:1:1: {{keys.up}} has no value: it is a folder of keys'],
    ['{{keys.toString}}', 'main.mustache:1:1: {{keys.toString}} is not there'],
    ['{{#keys.sites.x.*}}{{json.none}}{{/keys.sites.x.*}}', 'main.mustache:1:20: {{json.none}} is not there'],
    ['{{#keys.sites.x.*}}{{json.Id.constructor}}{{/keys.sites.x.*}}', 'is not there'],
    [
      '{{#keys.up.*}}{{vaule}}{{/keys.up.*}}',
      'main.mustache:1:15: {{vaule}} is not known to this template (known names: name, key, value, json, first, last, services',
    ],
    ['{{env.NONE}}', 'main.mustache:1:1: {{env.NONE}} is not there'],
  ])('%s is an error with its place', async (template, expected) => {
    expect(await render(template, keys, { as: 'line' })).toContain(expected);
  });

  test('of a foreign tree have U+FFFD for a byte that is not UTF-8', async () => {
    const foreign: KeySelection = { kind: 'foreign', prefix: '', paths: ['/a'] };
    const entries = { 'a/b': rawText(Buffer.from('x\xff', 'latin1')) };
    expect(await render('{{keys.a.b}}', entries, { keys: foreign, as: 'json' })).toBe('"x\ufffd"');
  });

  test('of a foreign tree are seen below their prefix', async () => {
    const foreign: KeySelection = { kind: 'foreign', prefix: '/prod', paths: ['/services/web', '/title'] };
    const entries = {
      'prod/services/web/1': '10.0.0.1:80',
      'prod/services/web2/1': 'no',
      'prod/title': 'T',
      'other/title': 'no',
    };
    const template = '{{keys.title}}{{#keys.services.*/}} {{name}}{{#*}} {{value}}{{/*}}{{/keys.services.*/}}';
    expect(await render(template, entries, { keys: foreign })).toBe('T web 10.0.0.1:80');
  });
});

describe('a template is refused', () => {
  test.each([
    [
      '{{#services}}\n{{adress}}{{/services}}',
      'main.mustache:2:1: {{adress}} is not known to this template (known names: name, mode',
    ],
    [
      '{{#services}}{{instances}}{{/services}}',
      'main.mustache:1:14: {{instances}} is a list (write {{#instances}}…{{/instances}})',
    ],
    ['{{service.web}}', 'main.mustache:1:1: {{service.web}} is no text but has fields'],
    ['{{#services}}{{.}}{{/services}}', 'main.mustache:1:14: {{.}} has no value here'],
    ['{{{keys.a}}}', 'main.mustache:1:1: {{{keys.a}}} would insert an unchecked value'],
    ['{{=<% %>=}}', 'main.mustache:1:1: {{=…}} is not available here'],
    ['a\n{{#services}}', 'main.mustache:2:14: Unclosed section "services"'],
    ['{{> none}}', 'main.mustache:1:1: {{> none}} cannot be included: there is no none.mustache'],
    ['{{> ../x}}', 'main.mustache:1:1: {{> ../x}} cannot be included: it is not a name'],
    ['{{keys.a}}', 'main.mustache:1:1: the value is not safe as a word: character 2 of 3 is not allowed (allowed are'],
  ])('%s', async (template, expected) => {
    expect(await render(template, { 'keys/a': 'a b' })).toContain(expected);
  });

  test('unless nothing is to be escaped', async () => {
    expect(await render('{{{keys.a}}} {{keys.a}}', { 'keys/a': 'a "b"' }, { as: 'none' })).toBe('a "b" a "b"');
  });
});

describe('partials', () => {
  test('come from the folder, are indented, and see what is around them', async () => {
    const files = {
      'main.mustache': 'a\n  {{> list}}\nb {{> end}}\n',
      'list.mustache': '{{#services}}\n- {{name}}\n{{/services}}\n',
      'end.mustache': 'end',
    };
    expect(await render(files, web)).toBe('a\n  - db\n  - web\nb end\n');
  });

  test('that are wrong are named with their own place', async () => {
    const broken = { 'main.mustache': 'a\n  {{> b}}\n', 'b.mustache': 'x\ny {{nmae}}\n' };
    expect(await render(broken)).toContain('b.mustache:2:3: {{nmae}} is not known');
    const unclosed = { 'main.mustache': '{{> b}}', 'b.mustache': 'x {{#services}}' };
    expect(await render(unclosed)).toContain('b.mustache:1:16: Unclosed section');
  });

  test('cannot include each other in a circle', async () => {
    const circle = { 'main.mustache': '{{> a}}', 'a.mustache': '{{> b}}', 'b.mustache': 'x\n{{> a}}' };
    expect(await render(circle)).toContain('b.mustache:2:1: {{> a}} includes itself');
  });

  test('stand within the quotes around them', async () => {
    const files = { 'main.mustache': '["{{> a}}"]', 'a.mustache': '{{keys.a}}' };
    expect(await render(files, { 'keys/a': 'x' }, { as: 'json' })).toContain(
      'a.mustache:1:1: {{keys.a}} stands within quotes',
    );
  });
});
