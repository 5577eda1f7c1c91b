import type { AnyCommand } from '../../settings/command.ts';
import { type Flag, flagsOf } from './flags.ts';

/** The script for zsh, sourced or as a file `_pointsman` on its fpath. */
export function zshCompletion(commands: readonly AnyCommand[]): string {
  return `#compdef pointsman
# Completion of pointsman for zsh: source <(pointsman completion zsh)
_pointsman() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${commands.map(({ name, summary }) => `      ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(ofCommand).join('\n')}
  esac
}
if [[ $funcstack[1] == _pointsman ]]; then _pointsman "$@"; else compdef _pointsman pointsman; fi
`;
}

function ofCommand(command: AnyCommand): string {
  const { operands } = command;
  const specs = [...flagsOf(command).map(ofFlag), quoted('--help[print this help]')];
  if (operands?.choices !== undefined) specs.push(quoted(`1:${operands.syntax}:(${operands.choices.join(' ')})`));
  if (operands?.passThrough === true) specs.push(quoted('*::command:_normal'));
  return `    ${command.name})\n      _arguments \\\n        ${specs.join(' \\\n        ')} ;;`;
}

function ofFlag({ name, description, value, option }: Flag): string {
  const text = description.replaceAll(/[[\]\\]/g, '\\$&');
  const repeated = option.kind === 'pairs' || option.kind === 'list' ? '*' : '';
  if (value === undefined) return quoted(`${name}[${text}]`);
  return quoted(`${repeated}${name}[${text}]:${value.placeholder.replaceAll(':', '\\:')}:${ofValue(value)}`);
}

function ofValue({ kind, choices }: NonNullable<Flag['value']>): string {
  switch (kind) {
    case 'choice':
      return `(${choices.join(' ')})`;
    case 'file':
      return '_files';
    case 'folder':
      return '_files -/';
    case 'text':
      return ' ';
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
