import type { AnyCommand } from '../../settings/command.ts';
import { type Flag, flagsOf } from './flags.ts';

/** The script for `pointsman completion fish | source`. */
export function fishCompletion(commands: readonly AnyCommand[]): string {
  const lines = [
    '# Completion of pointsman for fish: pointsman completion fish | source',
    'complete -c pointsman -f',
    `complete -c pointsman -n __fish_use_subcommand -l version -d ${quoted('print the version')}`,
    ...commands.map(
      ({ name, summary }) => `complete -c pointsman -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ),
    'complete -c pointsman -l help -d "print this help"',
    ...commands.flatMap((command) => {
      const when = `complete -c pointsman -n ${quoted(`__fish_seen_subcommand_from ${command.name}`)}`;
      const choices = command.operands?.choices ?? [];
      return [
        ...flagsOf(command).map((flag) => `${when} ${ofFlag(flag)}`),
        ...(choices.length === 0 ? [] : [`${when} -a ${quoted(choices.join(' '))}`]),
      ];
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function ofFlag({ name, description, value }: Flag): string {
  return `-l ${name.slice(2)}${ofValue(value)} -d ${quoted(description)}`;
}

function ofValue(value: Flag['value']): string {
  switch (value?.kind) {
    case 'choice':
      return ` -x -a ${quoted(value.choices.join(' '))}`;
    case 'file':
      return ' -r -F';
    case 'folder':
      return ` -x -a '(__fish_complete_directories)'`;
    case 'text':
      return ' -x';
    case undefined:
      return '';
  }
}

const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
