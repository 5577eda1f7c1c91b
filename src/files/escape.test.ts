import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { isNightly } from '../../test/support/nightly.ts';
import { rawText } from '../model/raw-text.ts';
import type { EscapeName } from '../settings/file-declaration.ts';
import { compileMustache } from '../template/mustache.ts';
import { record, text } from '../template/names.ts';
import { escapes } from './escape.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('\0'));

const compile = (name: EscapeName, template: string) => {
  const { write, absent, trail } = escapes[name];
  return compileMustache(
    { file: 't', text: template },
    {
      names: record({ v: text, s: text }),
      escape: (value, { form }) => (typeof value === 'string' ? write(value, form) : absent(form)),
      ...(trail === undefined ? {} : { trail }),
    },
  );
};

describe('escape json', () => {
  test('is read back by JSON as it was', () => {
    const template = compile('json', '{"a": {{v}}, "b": [{{v}}]}');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (v) => {
        expect(JSON.parse(template.render({ v }))).toEqual({ a: v, b: [v] });
      }),
    );
  });

  test.each([
    ['"{{v}}"', 't:1:2: {{v}} stands within quotes (the escape json writes the quotes too: leave yours out)'],
    ['{"a": "\\"{{v}}"}', 't:1:10: {{v}} stands within quotes'],
    ['[{{#s}}"{{/s}}]', 't:1:2: this section ends within quotes'],
    ["a: '{{v}}'", 't:1:5: {{v}} stands within quotes'],
    ["- '{{v}}'", 't:1:4: {{v}} stands within quotes'],
    ["[a, '{{v}}']", 't:1:6: {{v}} stands within quotes'],
    ["a: it's # don't\nb: '{{v}}'", 't:2:5: {{v}} stands within quotes'],
    ["a: |\n  'tis so\nb: '{{v}}'", 't:3:5: {{v}} stands within quotes'],
    ['url: http://{{v}}/', 't:1:13: {{v}} is a part of a text without quotes'],
    ['[a, http://{{v}}]', 't:1:12: {{v}} is a part of a text without quotes'],
    ['- --host={{v}}', 't:1:10: {{v}} is a part of a text without quotes'],
    ['a: b\n  {{v}}', 't:2:3: {{v}} is a part of a text without quotes'],
    ['[a\n {{v}}]', 't:2:2: {{v}} is a part of a text without quotes'],
    [
      'a:{{v}}',
      't:1:3: {{v}} is a part of a text without quotes, which would not end where the value does (write a space',
    ],
    ["a: 'b\n  c'", 't:1:6: a text in quotes has to end on its line'],
    ['["a]', 't:1:5: a string is not closed with "'],
  ])('is refused in %j', (template, message) => {
    expect(() => compile('json', template)).toThrow(expect.objectContaining({ code: 'template' }));
    expect(failure(() => compile('json', template))).toContain(message);
  });

  test.each([
    ['{"a": {{v}}, "b":{{v}}}\n', '{"a": "x: y", "b":"x: y"}\n'],
    ['- {{v}}\n- a: b\n  {{v}}: {{v}}\n', '- "x: y"\n- a: b\n  "x: y": "x: y"\n'],
    ["k: it's # {{v}}\n{{#s}}\n{{v}}: [{{v}}, {{v}}]\n{{/s}}\n", 'k: it\'s # "x: y"\n"x: y": ["x: y", "x: y"]\n'],
    ['[{{#s}}{{v}}{{/s}}{{^s}}, {{/s}}]', '["x: y"]'],
    ['a: {{#s}}{{v}}{{/s}}{{^s}}default{{/s}}\nb: {{v}}', 'a: "x: y"\nb: "x: y"'],
    ['[table]\nkey = {{v}}\n', '[table]\nkey = "x: y"\n'],
    ['a: !!str {{v}}', 'a: !!str "x: y"'],
  ])('is accepted where a value may begin, as in %j', (template, expected) => {
    expect(compile('json', template).render({ v: 'x: y', s: 'x' })).toBe(expected);
  });

  // A reader of YAML by others than us: whatever the value holds, nothing but this value changes.
  test('is read back by YAML as it was, in whatever template is accepted', () => {
    const parts = [
      'a: ',
      'b: ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ', ',
      "'",
      '"',
      'x',
      ' #',
      '\n',
      '\n  ',
      ': ',
      '|',
      '{{v}}',
      '{{v}}',
    ];
    const hostile = ["'", '"', ', b', ']', '}', ': y', ' # z', '\u0085', '\u2028', '\\', '\n', '- ', '\ufeff'];
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...parts), { maxLength: 9 }).map((pieces) => pieces.join('')),
        fc.array(fc.constantFrom(...hostile), { maxLength: 4 }).map((pieces) => `x${pieces.join('')}x`),
        (template, v) => {
          const compiled = attempt(() => compile('json', template));
          if (compiled === undefined || compiled.tags.length === 0) return;
          const plain = readYaml(compiled.render({ v: 'marker' }));
          if (plain === undefined) return;
          accepted += 1;
          expect(sameBut(plain, readYaml(compiled.render({ v })), v), compiled.render({ v })).toBe(true);
        },
      ),
      { numRuns: isNightly ? 20_000 : 5000 },
    );
    expect(accepted).toBeGreaterThan(25);
  });

  test('stands for nothing as null', () => {
    expect(compile('json', '[{{v}}]').render({})).toBe('[null]');
  });
});

describe('escape shell', () => {
  test('is read back by sh as it was', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 1, maxLength: 30 }), (values) => {
        const well = values.map((value) => Buffer.from(value).toString());
        const words = well.map((value) => escapes.shell.write(value)).join(' ');
        const { stdout } = spawnSync('sh', ['-s'], { input: `printf '%s\\0' ${words}\n` });
        expect(stdout.toString().split('\0').slice(0, -1)).toEqual(well);
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ['A="{{v}}"', 't:1:4: {{v}} stands within quotes (the escape shell writes the quotes too: leave yours out)'],
    ["A='{{v}}'", 't:1:4: {{v}} stands within quotes'],
    ['A="$(echo "{{v}}")"', 't:1:12: {{v}} stands within quotes'],
    ["echo a\n  b=$'x'", "t:2:6: $'…' is not understood here"],
    ['a # {{v}}', 't:1:5: {{v}} stands in a comment'],
    ['a \\{{v}}', 't:1:4: {{v}} stands after a \\'],
    ['a $'.concat('{{v}}'), 't:1:4: {{v}} stands after a $'],
    ['cat <<EOF\n{{v}}\nEOF', 'here-documents (<<) are not understood here'],
    ['`a {{v}}`', 'backquotes are not understood here'],
    ["{{#s}}'{{/s}} {{v}}", 'this section ends within quotes'],
    ["{{#s}}x{{/s}}#'\n{{v}}", 'this # may begin a comment or not'],
    ["{{#s}}#'\n x{{/s}}{{v}}", 'this # may begin a comment or not'],
  ])('is refused in %j', (template, message) => {
    expect(failure(() => compile('shell', template))).toContain(message);
  });

  test('is accepted where it belongs', () => {
    const script = `A={{v}} "B: $HOME \${USER} $(id)" # a comment\n{{#s}}printf %s {{v}}\n{{/s}}echo "done"\n`;
    expect(compile('shell', script).render({ v: 'a b', s: 'x' })).toBe(
      `A='a b' "B: $HOME \${USER} $(id)" # a comment\nprintf %s 'a b'\necho "done"\n`,
    );
  });

  test('takes no NUL', () => {
    expect(() => escapes.shell.write('a\0b')).toThrow('the value has a NUL character');
  });
});

describe('the escapes that quote nothing let only harmless characters through', () => {
  test.each<[EscapeName, RegExp]>([
    ['word', /^[^\s;"'\\#${}%]*$/],
    ['haproxy', /^[^\s;"'\\#${}%]*$/],
    ['nginx', /^[^\s;"'\\#${}]*$/],
    ['line', /^[^\n\r\0\v\f\u0085\u2028\u2029]*$/],
  ])('%s', (name, harmless) => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.string()), (value) => {
        const written = attempt(() => escapes[name].write(value));
        if (written === undefined) return;
        expect(written).toBe(value);
        expect(written).toMatch(harmless);
      }),
    );
  });

  test('line lets no byte through that is not UTF-8: a reader of Latin-1 may take it for a control character', () => {
    const value = rawText(Buffer.from('a\x85b', 'latin1'));
    expect(failure(() => escapes.line.write(value))).toContain('the value is not safe as one line');
    expect(escapes.line.write('é 😀')).toBe('é 😀');
  });

  test('none changes nothing', () => {
    expect(escapes.none.write('a;\n"b"')).toBe('a;\n"b"');
  });
});

const failure = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return String(error);
  }
  return 'nothing failed';
};

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

test('a value that is refused is not repeated in the message: it may be a password', () => {
  for (const name of ['word', 'haproxy', 'nginx', 'line', 'shell'] as const) {
    const message = failure(() => escapes[name].write('hunter22\0\n'));
    expect(message).not.toBe('');
    expect(message).not.toContain('hunter');
  }
});

/** The value that YAML reads, with mappings as lists of pairs; undefined: YAML refuses the text. */
function readYaml(text: string): unknown {
  const document = parseDocument(text);
  if (document.errors.length > 0) return undefined;
  return { whole: plain(document.toJS({ mapAsMap: true })) };
}

const plain = (value: unknown): unknown =>
  value instanceof Map ? [...value].map((pair) => plain(pair)) : Array.isArray(value) ? value.map(plain) : value;

/** Whether two trees differ only in `v` where the first one has a marker; in a block of text, `v` comes with its quotes. */
function sameBut(one: unknown, other: unknown, v: string): boolean {
  if (typeof one === 'string')
    return [one.replaceAll('marker', () => v), one.replaceAll('"marker"', () => escapes.json.write(v))].includes(
      String(other),
    );
  if (typeof one !== 'object' || one === null) return one === other;
  if (typeof other !== 'object' || other === null) return false;
  const [values, others] = [Object.values(one), Object.values(other)];
  return values.length === others.length && values.every((value, i) => sameBut(value, others[i], v));
}
