import type { AnyCommand } from '../../settings/command.ts';
import { type Flag, flagsOf } from './flags.ts';

/** The script for `source <(pointsman completion bash)`. Works with bash 4, without the package bash-completion. */
export function bashCompletion(commands: readonly AnyCommand[]): string {
  return `# Completion of pointsman for bash: source <(pointsman completion bash)
_pointsman() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} i
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${[...commands.map(({ name }) => name), '--help', '--version'].join(' ')}' -- "$word"))
    return
  fi
  for ((i = 2; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -- ]] || continue
    # What follows is a command of its own.
    if ((COMP_CWORD == i + 1)); then COMPREPLY=($(compgen -c -- "$word"))
    else compopt -o default; fi
    return
  done
  case \${COMP_WORDS[1]} in
${commands.map(ofCommand).join('\n')}
  esac
}
complete -F _pointsman pointsman
`;
}

function ofCommand(command: AnyCommand): string {
  const flags = flagsOf(command);
  const words = [...flags.map(({ name }) => name), '--help', ...(command.operands?.choices ?? [])];
  const valued = flags.filter(({ value }) => value !== undefined);
  const cases = valued.map((flag) => `        ${flag.name}) ${ofValue(flag)} return ;;`);
  const values = cases.length === 0 ? '' : `      case $previous in\n${cases.join('\n')}\n      esac\n`;
  return `    ${command.name})\n${values}      COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")) ;;`;
}

function ofValue({ value }: Flag): string {
  switch (value?.kind) {
    case 'choice':
      return `COMPREPLY=($(compgen -W '${value.choices.join(' ')}' -- "$word"));`;
    case 'file':
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word");';
    case 'folder':
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word");';
    case 'text':
    case undefined:
      return '';
  }
}
