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
 * `reload_cmd`. confd runs it as it is, and its fork takes it for a template: so it is one where it names `src` or `dest`, and
 * `docker ps --format {{.ID}}` stays. The file is in its place by then.
 */
export const reloadCommand = (command: string, dest: string): CommandLine =>
  shell(/\{\{-?\s*\.(src|dest)\b/.test(command) ? filled(command, { src: dest, dest }) : command);
