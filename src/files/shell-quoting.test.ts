import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { compileMustache } from '../template/mustache.ts';
import { record, text } from '../template/names.ts';
import { escapes } from './escape.ts';

const { write, absent, trail } = escapes.shell;

const compile = (template: string) =>
  compileMustache(
    { file: 't', text: template },
    {
      names: record({ v: text, w: text, s: text }),
      escape: (value, { form }) => (typeof value === 'string' ? write(value, form) : absent(form)),
      ...(trail === undefined ? {} : { trail }),
    },
  );

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return String(error);
  }
  return 'nothing failed';
}

/** A folder to run scripts in, and values that each make `ran` if a shell takes a part of them for more than text. */
function startShells() {
  const dir = mkdtempSync(join(tmpdir(), 'pm-shell-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const ran = join(dir, 'ran');
  const evil = join(dir, 'evil');
  const cwd = join(dir, 'cwd');
  mkdirSync(cwd);
  const values = [
    `$(>${ran})`,
    `x[$(>${ran})]`,
    `'; >${ran}; '`,
    `\n>${ran}\n`,
    `">${ran}"`,
    `\\'; >${ran} #`,
    `}>${ran}`,
    `) >${ran}; (`,
    `\`>${ran}\``,
    evil,
    '-v',
    'RANDOM',
    'PS4',
    'x',
    '3',
    '',
  ];
  /** Which shells ran a part of a value; what else the script does, or fails at, does not matter. */
  const run = (script: string): string[] => {
    writeFileSync(evil, `#!/bin/sh\n>${ran}\n`);
    chmodSync(evil, 0o755);
    writeFileSync(join(dir, 'script'), script);
    return ['dash', 'bash'].filter((shell) => {
      spawnSync(shell, [join(dir, 'script')], { cwd, stdio: 'ignore', timeout: 5000, killSignal: 'SIGKILL' });
      const did = existsSync(ran);
      rmSync(ran, { force: true });
      return did;
    });
  };
  return { values, run };
}

// A value that a shell evaluates although it is quoted: each of these ran in dash or bash, or both.
const refused: readonly (readonly [template: string, message: string])[] = [
  ['(( {{v}} > 1 ))', 't:1:4: {{v}} stands within ((…)), where bash evaluates it (write [ … -gt … ], or NAME=$((…)))'],
  ['for ((i = {{v}}; i < 3; i++)); do :; done', '{{v}} stands within ((…))'],
  ['A=$[ {{v}} * 2 ]', 't:1:4: $[…] is not understood here (write $((…)))'],
  [`A=\${x:-{{v}}}`, `t:1:8: {{v}} stands within \${…}`],
  [`A=\${x:{{v}}}`, `{{v}} stands within \${…}`],
  [`A=abc; B=\${A:{{v}}:1}`, `{{v}} stands within \${…}`],
  [`A=\${B[{{v}}]}`, `{{v}} stands within \${…}`],
  ['a[{{v}}]=1', 't:1:3: {{v}} would be the name of a command'],
  ['A=([{{v}}]=1)', '{{v}} stands in a subscript, which bash evaluates'],
  ['[[ {{v}} -eq 1 ]] && echo', 't:1:4: {{v}} stands within [[ … ]], where bash may evaluate it (write [ … ] or case)'],
  ['[[ -v {{v}} ]]', '{{v}} stands within [[ … ]]'],
  ['test -v {{v}} # c', 'a value may be taken for an operator'],
  ['echo "$(x # c', 'the script ends within a construct that is not closed'],
  ['[ -v {{v}} ]', 't:1:13: a value may be taken for an operator of this test'],
  ['test {{v}} {{w}}', 'a value may be taken for an operator'],
  ['if [ {{v}} = 1 -a -v {{w}} ]; then :; fi', 'a value may be taken for an operator'],
  ['let {{v}}', 't:1:5: {{v}} is an argument of let, which may evaluate it (give it as a variable: NAME={{…}}'],
  ['let A={{v}}', '{{v}} is an argument of let'],
  ['declare -i A; A={{v}}', 't:1:11: declare -i has bash evaluate what is assigned later (leave -i out)'],
  ['declare -r -i A={{v}}', 'declare -i has bash evaluate'],
  ['declare A={{v}}', '{{v}} is an argument of declare'],
  ['f() { local A={{v}}; }', '{{v}} is an argument of local'],
  ['typeset -i A\nA={{v}}', 'typeset -i has bash evaluate'],
  ['trap {{v}} EXIT', '{{v}} is an argument of trap'],
  ['eval {{v}}', '{{v}} is an argument of eval'],
  ['command eval {{v}}', '{{v}} is an argument of eval'],
  ['ev\\\nal {{v}}', '{{v}} is an argument of eval'],
  ['\\eval {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['"ev"al {{v}}', '{{v}} is an argument of eval'],
  ['$X {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['sh -c {{v}}', '{{v}} is an argument of sh, which may run it as a program'],
  ['/bin/bash -c {{v}}', '{{v}} is an argument of bash'],
  ['python3.11 -c {{v}}', '{{v}} is an argument of python3.11'],
  ['sed s/x/{{v}}/ f', '{{v}} is an argument of sed'],
  ['. {{v}}', '{{v}} is an argument of .'],
  ['a=(1); unset {{v}}', '{{v}} is an argument of unset'],
  ['read {{v}} < /dev/null', '{{v}} is an argument of read'],
  ['printf {{v}} {{w}} x', 't:1:8: {{v}} is the format of printf'],
  ['printf -v {{v}} x', '{{v}} is an argument of printf without a format'],
  ['set {{v}}', '{{v}} may be taken for an option of set (write set -- {{…}})'],
  ['{{v}}', 'a value is the name of a command before this'],
  ['{{v}} x', 't:1:6: a value is the name of a command before this'],
  ['exec {{v}}', '{{v}} would be the name of a command'],
  ['A=1 ./{{v}}', '{{v}} would be the name of a command'],
  ['if {{v}}; then :; fi', 'a value is the name of a command'],
  ['x | {{v}}', 'a value is the name of a command'],
  ['echo "$({{v}})"', 'a value is the name of a command'],
  ['{{#s}}echo{{/s}} {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['{{#s}}echo {{/s}}{{v}}', '{{v}} may be the name of a command: a section before it decides'],
  ['"declare" -"i" A', 'declare -i has bash evaluate'],
  ['PS4={{v}}; set -x; :', 't:1:5: {{v}} is assigned to PS4, on which the shell acts (name another variable)'],
  ['RANDOM={{v}}', '{{v}} is assigned to RANDOM'],
  ['export BASH_ENV={{v}}', '{{v}} is assigned to BASH_ENV'],
  ['P{{v}}=x', '{{v}} may make a name of P on which the shell acts'],
  ['{{v}}_X=x', 'a value is a part of a name before this'],
  ['echo {a,{{v}}}', '{{v}} stands within braces'],
  ['cat <<EOF\n{{v}}\nEOF', 't:1:6: here-documents (<<) are not understood here (write with printf)'],
  ['A=`echo {{v}}`', 't:1:3: backquotes are not understood here (write $(…))'],
  ["a\u00a0#'\n{{v}}", '{{v}} stands within quotes'],
  ['time -p eval {{v}}', '{{v}} is an argument of eval'],
  ['time -- sh -c {{v}}', '{{v}} is an argument of sh'],
  ['time -f %e sh -c {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['time -p declare -i A; A={{v}}', 'declare -i has bash evaluate'],
  ['exec -a name sh -c {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['exec -ca name sh -c {{v}}', '{{v}} is an argument of a command whose name is not written plainly'],
  ['exec gosu app sh -c {{v}}', '{{v}} is an argument of gosu'],
  ['eval echo &> /dev/null A={{v}}', 't:1:12: &> means one thing to bash and another to sh (write >FILE 2>&1'],
  ['[ a = a -a b = b -a c = c -a -v {{v}} ]', 'a value may be taken for an operator'],
  ['test 1 -a 1 -a 1 -a 1 -a 1 -a -v {{v}}', 'a value may be taken for an operator'],
  ["[[ a && # '\n b ]]; echo ' ]]; echo {{v}} ' # '", 't:1:9: this # may begin a comment or not'],
  ['for PATH in {{v}}; do ls; done', 'a loop over PATH, on which the shell acts'],
  ['for PS4 in {{v}}; do set -x; :; done', 'a loop over PS4, on which the shell acts'],
  ['GLIBC_{{v}}=x', '{{v}} may make a name of GLIBC_ on which the shell acts'],
  ['GCONV_{{v}}=x', '{{v}} may make a name of GCONV_ on which the shell acts'],
];

describe('a value of the escape shell', () => {
  test.each(refused)('is refused in %j', (template, message) => {
    const compiled = (): unknown => compile(template);
    expect(failure(compiled)).toContain(message);
    expect(failure(compiled)).toMatch(/^t(:\d+:\d+)?: /);
  });

  test.each([
    ['A={{v}}; B={{w}}', "A=x; B='a b'"],
    ['export A={{w}} B={{v}}', "export A='a b' B=x"],
    ['{{v}}={{w}}; export {{v}}\n', "x='a b'; export x\n"],
    ['export APP_{{v}}={{w}}', "export APP_x='a b'"],
    ['exec server --port={{v}} "--to=$X" {{w}} # {x}', `exec server --port='x' "--to=$X" 'a b' # {x}`],
    ['"$HOME/bin/server" {{w}}', `"$HOME/bin/server" 'a b'`],
    ['A="$(basename {{w}})" B=1', `A="$(basename 'a b')" B=1`],
    ['if [ {{v}} = x ] && [ -n {{w}} ]; then echo {{w}}; fi', "if [ 'x' = x ] && [ -n 'a b' ]; then echo 'a b'; fi"],
    ['for h in {{#s}}{{v}} {{/s}}; do echo "$h" >> {{w}}; done', `for h in 'x' ; do echo "$h" >> 'a b'; done`],
    [
      'case {{w}} in {{v}}|y) echo {{v}};; (*) ;; esac; echo {{v}}',
      "case 'a b' in 'x'|y) echo 'x';; (*) ;; esac; echo 'x'",
    ],
    ['A=({{v}} {{w}})\nf() { echo {{v}}; }', "A=('x' 'a b')\nf() { echo 'x'; }"],
    ["printf '%s\\n' {{w}} 2>&1", "printf '%s\\n' 'a b' 2>&1"],
    ['set -- {{w}}; curl http://[{{v}}]:80/', "set -- 'a b'; curl http://['x']:80/"],
    ['A={{#s}}{{w}}{{/s}}{{^s}}default{{/s}}', "A='a b'"],
    ['i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; [[ $i -eq 3 ]] && (( i > 2 )) && echo {{v}}', "i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; [[ $i -eq 3 ]] && (( i > 2 )) && echo 'x'"], // biome-ignore format: a script
    [`A=\${B:-"c}"}\${#B}; echo "\${C}" {{v}}`, `A=\${B:-"c}"}\${#B}; echo "\${C}" 'x'`],
  ])('is accepted in %j', (template, expected) => {
    expect(compile(template).render({ v: 'x', w: 'a b', s: 'x' })).toBe(expected);
  });

  test('is a whole number in arithmetic, or the file is not made', () => {
    const { render } = compile('WORKERS=$(( {{v}} * 2 ))');
    expect(render({ v: '4' })).toBe('WORKERS=$(( 4 * 2 ))');
    for (const v of ['$(touch pwned; echo 3)', 'x[$(touch pwned)]', 'PATH', '010', '-1', '1e3', '', '9'.repeat(19)]) {
      expect(failure(() => render({ v }))).toContain('t:1:13: the value is not a whole number');
    }
    expect(failure(() => render({}))).toContain('the value is not a whole number');
  });

  test('is no name of a variable on which the shell acts', () => {
    const { render } = compile('{{v}}=x');
    expect(render({ v: 'GREETING' })).toBe('GREETING=x');
    for (const v of ['PATH', 'RANDOM', 'BASH_ENV', 'LD_PRELOAD', 'IFS', 'PS4', 'a-b', '1a', 'x[$(id)]', '']) {
      expect(
        failure(() => render({ v })),
        v,
      ).toContain('t:1:1: the value is not a name that a variable may have');
    }
  });

  test('runs in none of the places that are accepted, with dash and with bash', () => {
    const { values, run } = startShells();
    for (const [template] of refused) {
      const compiled = attempt(() => compile(template));
      expect(compiled, template).toBeUndefined();
    }
    const pieces = ['a', 'A=', 'export ', 'echo ', 'printf ', "printf '%s' ", '[ ', ' ]', '[[ ', ' ]] ', '$((', '((', '))', '$[', '${x:', '${a[', '}', 'a[', ']', 'A=(', 'let ', 'declare ', '-i ', '-v ', 'eval ', 'trap ', 'unset ', 'read ', 'set ', '-- ', 'exec ', 'command ', 'sh -c ', 'case ', ' in ', ';;', 'esac', 'for x in ', 'do ', 'done', 'if ', 'then ', 'fi', 'f()', '$(', "'", '"', '\\', '$', ' ', ' ', '\n', '\n', '\\\n', '#', '<', '>', '(', ')', '{', ';', ';', '|', '=', ' = ', ' -eq 1', '`', '\r', '\u00a0', '&', '&>', 'time ', '-p ', '-a ', 'x = x -a ', 'PATH ', 'let ']; // biome-ignore format: words of scripts
    const value = ['{{v}}', '{{w}}'];
    const piece = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...pieces) },
      { weight: 4, arbitrary: fc.constantFrom(...value) },
      { weight: 1, arbitrary: fc.constantFrom('{{#s}}', '{{/s}}', '{{^s}}') },
    );
    const value1 = fc.constantFrom(...values);
    let ran = 0;
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 9 }).map((parts) => parts.join('')),
        fc.array(fc.tuple(value1, value1), { minLength: 4, maxLength: 4 }),
        fc.constantFrom(undefined, 'x', ['x', 'x']),
        (template, pairs, s) => {
          const compiled = attempt(() => compile(template));
          if (compiled === undefined || compiled.tags.length === 0) return;
          for (const [v, w] of pairs) {
            const script = attempt(() => compiled.render({ v, w, s }));
            if (script === undefined) continue;
            ran += 1;
            expect(run(script), `ran a part of ${JSON.stringify(script)}`).toEqual([]);
          }
        },
      ),
      { numRuns: Number(process.env['SHELL_RUNS'] ?? 2000) },
    );
    expect(ran).toBeGreaterThan(100);
  });
});
