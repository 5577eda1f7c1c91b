import { builtinNames } from '../../go-template/builtins.ts';
import { type Bytes, bytesOf, textOf } from '../../go-template/bytes.ts';
import { execute } from '../../go-template/execute.ts';
import { parse } from '../../go-template/parse.ts';
import { GoMap, type GoValue } from '../../go-template/value.ts';
import type { CommandLine } from '../../settings/command-line.ts';
import { stagedMark } from '../../settings/file-declaration.ts';

/** confd has every command run by a shell. */
const shell = (command: string): CommandLine => ['/bin/sh', '-c', command];

function filled(command: string, data: Readonly<Record<string, string>>): string {
  const file = 'command';
  const templates = parse(bytesOf(command), { file, isFunction: (name) => builtinNames.has(name) });
  const values = new Map<Bytes, GoValue>(Object.entries(data).map(([name, value]) => [name, bytesOf(value)]));
  return textOf(execute(templates, file, new GoMap('string', values), { functions: new Map() }));
}

/** `check_cmd`, a template that sees the new file as `src`. Throws TemplateError. */
export const checkCommand = (command: string, dest: string): CommandLine =>
  shell(filled(command, { src: stagedMark, dest }));

/**
 * `reload_cmd`, as it is but for `{{.src}}` and `{{.dest}}`, which its fork replaces and confd does not: both are the file, which is in its
 * place by then. Everything else in braces stays, such as `docker ps --format {{.ID}}`.
 */
export const reloadCommand = (command: string, dest: string): CommandLine =>
  shell(command.replaceAll(/\{\{\.(?:src|dest)\}\}/g, () => dest));
