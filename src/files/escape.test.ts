import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { compileMustache } from '../render/mustache.ts';
import { record, text } from '../render/names.ts';
import type { EscapeName } from '../settings/file-declaration.ts';
import { escapes } from './escape.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('\0'));

const compile = (name: EscapeName, template: string) => {
  const { write, absent, trail } = escapes[name];
  return compileMustache(
    { file: 't', text: template },
    {
      names: record({ v: text, s: text }),
      escape: (value) => (typeof value === 'string' ? write(value) : absent),
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
    ['["a]', 't: a string is not closed with "'],
  ])('is refused in %j', (template, message) => {
    expect(() => compile('json', template)).toThrow(expect.objectContaining({ code: 'template' }));
    expect(failure(() => compile('json', template))).toContain(message);
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

  // What is accepted must hold whatever is around it: the value here makes a file as soon as a shell takes any of it for more
  // than text.
  test('runs nothing that stands in a value, in whatever template is accepted', () => {
    const dir = mkdtempSync(join(tmpdir(), 'pm-shell-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const canary = join(dir, 'canary');
    const parts = [
      "'",
      '"',
      '\\',
      '$',
      ' ',
      '\n',
      '#',
      '<',
      '(',
      ')',
      '{',
      '}',
      'a',
      ';',
      '|',
      '=',
      '`',
      '{{v}}',
      '{{v}}',
    ];
    const piece = fc.constantFrom(...parts, ...parts, '{{#s}}', '{{/s}}', '{{^s}}');
    const values = [
      `'; >${canary}; '`,
      `$(>${canary})`,
      `\n>${canary}\n`,
      `">${canary}"`,
      `\\'; >${canary} #`,
      `}>${canary}`,
    ];
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
        fc.constantFrom(...values),
        fc.constantFrom(undefined, 'x', ['x', 'x']),
        (template, v, s) => {
          const compiled = attempt(() => compile('shell', template));
          if (compiled === undefined || compiled.tags.length === 0) return;
          accepted += 1;
          const script = compiled.render({ v, s });
          for (const shell of ['sh', 'bash']) {
            spawnSync(shell, ['-s'], { input: script, cwd: dir, timeout: 5000 });
            expect(existsSync(canary), `${shell} ran a part of ${JSON.stringify(script)}`).toBe(false);
          }
        },
      ),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  test.each([
    ['A="{{v}}"', 't:1:4: {{v}} stands within quotes (the escape shell writes the quotes too: leave yours out)'],
    ["A='{{v}}'", 't:1:4: {{v}} stands within quotes'],
    ['A="$(echo "{{v}}")"', 'quotes within "$(…)" and the like are not understood here'],
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
