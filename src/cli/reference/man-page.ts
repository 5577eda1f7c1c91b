import { type AnyCommand, operandsOf } from '../../settings/command.ts';
import { type Example, examples } from '../../settings/examples.ts';
import { hasVariable, variableName } from '../../settings/option.ts';
import { type Flag, flagsOf } from './flags.ts';

const examplesOf: Readonly<Record<string, readonly Example[]>> = examples;

/** pointsman(1), in the man macros that groff and mandoc both read. */
export function manPage(commands: readonly AnyCommand[], version: string): string {
  const secrets = commands
    .flatMap(({ options }) => Object.entries(options))
    .filter(([, { kind }]) => kind === 'secret');
  const secretOf = new Map(secrets.map(([key, { description }]) => [variableName(key), description]));
  return [
    `.TH POINTSMAN 1 "" "pointsman ${version}" "pointsman"`,
    // Names of settings are copied from here: no word is broken.
    '.nh',
    '.SH NAME',
    'pointsman \\- keeps HAProxy in step with etcd',
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => {
      const flags = Object.keys(command.options).length === 0 ? '' : ' [\\fIflags\\fR]';
      return [
        '.PP',
        `\\fBpointsman ${command.name}\\fR${flags}${operandsOf(command)
          .map(({ syntax }) => ` ${escaped(syntax)}`)
          .join('')}`,
      ];
    }),
    '.SH DESCRIPTION',
    'Applications register in etcd, or in a folder, under a lease. Every balancer follows that registry and keeps its',
    'HAProxy in step with it: with commands of the runtime API where HAProxy allows it, and with a checked reload elsewhere.',
    '.SH COMMANDS',
    ...commands.flatMap(commandSection),
    '.SH ENVIRONMENT',
    'You can set an option by its flag, by the variable in parentheses, or by the field of that name in the YAML file that',
    '\\fB\\-\\-config\\fR names. A flag overrides a variable, and a variable overrides the file.',
    ...[...secretOf].flatMap(([name, description]) => ['.TP', `\\fB${name}\\fR`, sentence(description)]),
    ...[
      '.SH EXIT STATUS',
      '.TP',
      '0',
      'Success, also if a signal ended the command.',
      '.TP',
      '1',
      'Failure. Standard error has the reason.',
    ],
    ...['.TP', '2', 'A wrong flag, variable or field. Nothing was started.', '.TP', 'other'],
    "\\fBregister\\fR with a command: the command's own, or 128 and the signal that ended it.",
    '.SH EXAMPLES',
    ...commands.flatMap(({ name }) =>
      (examplesOf[name] ?? []).flatMap(({ line, effect }) => [
        '.TP',
        `\\fB${escaped(line)}\\fR`,
        sentence(`${effect[0]?.toUpperCase()}${effect.slice(1)}`),
      ]),
    ),
    '.SH SEE ALSO',
    '.BR haproxy (1),',
    '.BR etcd (1)',
    '',
  ].join('\n');
}

function commandSection(command: AnyCommand): readonly string[] {
  return [
    `.SS ${command.name}`,
    sentence(command.summary),
    ...operandsOf(command).flatMap(({ syntax, description }) => [
      '.TP',
      `\\fI${escaped(syntax)}\\fR`,
      sentence(description),
    ]),
    ...flagsOf(command).flatMap((flag) => [
      '.TP',
      `\\fB${escaped(flag.name)}\\fR${flag.value === undefined ? '' : ` \\fI${escaped(flag.value.placeholder)}\\fR`}`,
      sentence(flag.description) + asides(flag),
    ]),
  ];
}

function asides({ option, key }: Flag): string {
  const notes = [
    ...(option.kind === 'defaulted' ? [`Default: ${escaped(option.fallback.text)}.`] : []),
    ...(hasVariable(option) ? [`(\\fB${variableName(key)}\\fR)`] : []),
  ];
  return notes.map((note) => `\n${note}`).join('');
}

const sentence = (text: string): string => `${escaped(text)}.`;

/** As text, whatever it contains: no escape, no request at a line's beginning, and a hyphen that can be copied. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(
      /[^\x20-\x7e]/gu,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^[.']/, '\\&$&');
}
