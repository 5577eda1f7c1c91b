import { describe, expect, test } from 'vitest';
import { compileMustache } from '../../template/mustache.ts';
import { bare } from '../bare.ts';
import { isKeyNode, keyTree, valueOfNode } from '../key-tree.ts';
import { fileNames } from '../view.ts';
import { convertTemplate } from './convert.ts';

const convert = (text: string): string => convertTemplate({ file: 't.tmpl', text });

const problems = (text: string): string[] => {
  try {
    convert(text);
  } catch (error) {
    return error instanceof AggregateError ? error.errors.map(String) : [String(error)];
  }
  return [];
};

/** What the converted template makes of these keys, without lines that are blank. */
function render(text: string, keys: Readonly<Record<string, string>>): string {
  const { render: run } = compileMustache(
    { file: 't', text: convert(text) },
    { names: fileNames, escape: (found) => (isKeyNode(found) ? (valueOfNode(found) ?? '') : String(found ?? '')) },
  );
  const made = run({ services: [], service: {}, keys: keyTree(Object.entries(keys)), env: bare([['HOME', '/root']]) });
  return made.replace(/^\s*\n/gm, '');
}

test.each([
  ['plain { } text', 'plain { } text'],
  ['{{getv "/nginx/worker_processes"}}', '{{keys.nginx.worker_processes}}'],
  ['{{ getv "/a/b.c" }}', '{{keys.a.b.c}}'],
  ['{{getv `/a`}}', '{{keys.a}}'],
  ['{{getv "/a" "d"}}', '{{#keys.a}}{{.}}{{/keys.a}}{{^keys.a}}d{{/keys.a}}'],
  ['{{getenv "HOME"}}', '{{#env.HOME}}{{.}}{{/env.HOME}}'],
  ['{{getenv "IP" "127.0.0.1"}}', '{{#env.IP}}{{.}}{{/env.IP}}{{^env.IP}}127.0.0.1{{/env.IP}}'],
  [
    '{{range gets "/up/*"}}{{base .Key}} {{.Key}} {{.Value}};{{end}}',
    '{{#keys.up.*}}{{name}} {{key}} {{value}};{{/keys.up.*}}',
  ],
  ['{{range getvs "/up/*"}}{{.}}{{end}}', '{{#keys.up.*}}{{value}}{{/keys.up.*}}'],
  [
    '{{range getvs "/up/*"}}{{.}}{{else}}none{{end}}',
    '{{#keys.up.*}}{{value}}{{/keys.up.*}}{{^keys.up.*}}none{{/keys.up.*}}',
  ],
  ['{{range $e := gets "/up/*"}}{{base $e.Key}}={{$e.Value}}{{end}}', '{{#keys.up.*}}{{name}}={{value}}{{/keys.up.*}}'],
  ['{{range gets "/a/*/*"}}{{.Value}}{{end}}', '{{#keys.a.*/}}{{#*}}{{value}}{{/*}}{{/keys.a.*/}}'],
  ['{{range gets "/a/*/b/*"}}{{.Value}}{{end}}', '{{#keys.a.*/}}{{#here.b.*}}{{value}}{{/here.b.*}}{{/keys.a.*/}}'],
  ['{{range gets "/*"}}{{.Value}}{{end}}', '{{#keys.*}}{{value}}{{/keys.*}}'],
  ['{{if exists "/a"}}A{{end}}', '{{#keys.a}}A{{/keys.a}}'],
  ['{{if exists "/a"}}A{{else}}B{{end}}', '{{#keys.a}}A{{/keys.a}}{{^keys.a}}B{{/keys.a}}'],
  [
    '{{if exists "/a"}}A{{else if exists "/b"}}B{{else}}C{{end}}',
    '{{#keys.a}}A{{/keys.a}}{{^keys.a}}{{#keys.b}}B{{/keys.b}}{{^keys.b}}C{{/keys.b}}{{/keys.a}}',
  ],
  ['{{if not (exists "/a")}}none{{end}}', '{{^keys.a}}none{{/keys.a}}'],
  ['{{if ls "/up"}}some{{end}}', '{{#keys.up}}some{{/keys.up}}'],
  ['{{with get "/a/b"}}{{base .Key}} {{.Key}} {{.Value}}{{end}}', 'b /a/b {{keys.a.b}}'],
  ['{{range lsdir "/s"}}{{.}}{{end}}', '{{#keys.s.*/}}{{name}}{{/keys.s.*/}}'],
  [
    '{{range $d := lsdir "/s"}}{{base $d}}: {{getv (printf "/s/%s/host" $d)}}{{end}}',
    '{{#keys.s.*/}}{{name}}: {{here.host}}{{/keys.s.*/}}',
  ],
  [
    '{{range $d := lsdir "/s"}}{{$p := printf "/s/%s/*" $d}}{{range gets $p}}{{.Value}}{{end}}{{end}}',
    '{{#keys.s.*/}}{{#*}}{{value}}{{/*}}{{/keys.s.*/}}',
  ],
  [
    '{{range gets "/s/*"}}{{$d := json .Value}}{{$d.host}}:{{$d.port}}{{end}}',
    '{{#keys.s.*}}{{json.host}}:{{json.port}}{{/keys.s.*}}',
  ],
  [
    '{{range getvs "/s/*"}}{{$d := json .}}{{range $d.tags}}{{.name}} {{end}}{{end}}',
    '{{#keys.s.*}}{{#json.tags}}{{name}} {{/json.tags}}{{/keys.s.*}}',
  ],
  ['{{$d := getv "/domain"}}a {{$d}} b {{$d}}', 'a {{keys.domain}} b {{keys.domain}}'],
  ['{{"literal"}} {{42}}', 'literal 42'],
  ['a {{/* a comment */}} b', 'a {{! a comment }} b'],
  ['a  {{- getv "/a" -}}  \n b', 'a{{keys.a}}b'],
])('%s', (template, mustache) => {
  expect(problems(template)).toEqual([]);
  expect(convert(template)).toBe(mustache);
});

describe('what has no equivalent is refused with its place and what to write', () => {
  test.each([
    [
      'a\n {{toUpper "x"}}',
      't.tmpl:2:2: toUpper has no equivalent (put the value into the registry as it is to be written)',
    ],
    ['{{datetime}}', 't.tmpl:1:1: datetime has no equivalent (leave it out'],
    ['{{cgetv "/a"}}', 'encrypted values are not read'],
    [
      '{{join (getvs "/a/*") ","}}',
      't.tmpl:1:1: join has no equivalent ({{#keys.A.*}}{{value}}{{^last}},{{/last}}{{/keys.A.*}} puts something between values)',
    ],
    ['{{if eq (getv "/a") "b"}}x{{end}}', 't.tmpl:1:1: this condition has no equivalent (Mustache compares nothing'],
    ['{{range ls "/a"}}{{.}}{{end}}', 't.tmpl:1:1: ls has no equivalent'],
    ['{{range gets "/a/b"}}{{.Value}}{{end}}', 'the pattern /a/b has no equivalent'],
    ['{{range gets "/a/b*"}}{{.Value}}{{end}}', 'the pattern /a/b* has no equivalent'],
    ['{{range $i, $e := gets "/a/*"}}{{$i}}{{end}}', 'counts (there are {{first}} and {{last}}, and no index)'],
    ['{{getv "/a b"}}', 'a key with the part "a b" cannot be named'],
    [
      '{{template "x" .}}',
      '{{template "x" .}} has no equivalent (put what it names into a file NAME.mustache beside it',
    ],
    ['{{getv (printf "/a/%s" "b")}}', 'a key that is put together like this has no equivalent'],
    [
      '{{range $a := gets "/a/*"}}{{range gets "/b/*"}}{{$a.Value}}{{end}}{{end}}',
      '$a of a range is used within another',
    ],
    [
      '{{range lsdir "/a"}}{{if exists "/b"}}{{range gets (printf "/a/%s/*" .)}}x{{end}}{{end}}{{end}}',
      'this range within an {{if}} has no equivalent',
    ],
    ['{{$x}}', '$x is not known'],
    ['{{range gets "/a/*"}}x', 'an {{end}} is missing'],
    ['x{{end}}', 't.tmpl:1:2: {{end}} closes nothing'],
    ['x {{ getv "/a"', 't.tmpl:1:3: this {{ is not closed'],
    ['{{getv "/a" ; }}', 't.tmpl:1:1: {{getv "/a" ;}} cannot be read'],
  ])('%s', (template, message) => {
    expect(problems(template).join('\n')).toContain(message);
  });

  test('all at once', () => {
    expect(problems('{{datetime}}\n{{getv "/a"}}\n{{range ls "/x"}}{{.}}{{end}}\n')).toHaveLength(2);
  });
});

describe("the examples of confd's manual make what it says", () => {
  test('nginx', () => {
    const template = `worker_processes {{getv "/nginx/worker_processes"}};

upstream app {
{{range getvs "/app/upstream/*"}}
    server {{.}};
{{end}}
}

server {
    server_name www.{{getv "/nginx/domain"}};
    access_log /var/log/nginx/{{getv "/nginx/domain"}}.access.log;
}
`;
    const keys = {
      'nginx/domain': 'example.com',
      'nginx/worker_processes': '2',
      'app/upstream/app1': '10.0.1.100:80',
      'app/upstream/app2': '10.0.1.101:80',
    };
    expect(render(template, keys)).toBe(`worker_processes 2;
upstream app {
    server 10.0.1.100:80;
    server 10.0.1.101:80;
}
server {
    server_name www.example.com;
    access_log /var/log/nginx/example.com.access.log;
}
`);
  });

  test('nested folders with JSON', () => {
    const template = `{{range $dir := lsdir "/services/web"}}
upstream {{base $dir}} {
    {{$custdir := printf "/services/web/%s/*" $dir}}{{range gets $custdir}}
    server {{$data := json .Value}}{{$data.IP}}:80;
    {{end}}
}
{{end}}
`;
    const keys = {
      'services/web/cust1/1': '{"IP": "10.0.0.1"}',
      'services/web/cust1/2': '{"IP": "10.0.0.2"}',
      'services/web/cust2/1': '{"IP": "10.0.0.3"}',
    };
    expect(render(template, keys)).toBe(`upstream cust1 {
    server 10.0.0.1:80;
    server 10.0.0.2:80;
}
upstream cust2 {
    server 10.0.0.3:80;
}
`);
  });
});
