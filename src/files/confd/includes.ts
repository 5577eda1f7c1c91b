import { basename, join, relative } from 'node:path';
import { builtinNames } from '../../go-template/builtins.ts';
import { type Bytes, bytesOf, textOf } from '../../go-template/bytes.ts';
import { type Call, callsIn } from '../../go-template/calls.ts';
import { parse, type Templates } from '../../go-template/parse.ts';
import { TemplateError } from '../../go-template/template-error.ts';
import { GoError, type GoValue } from '../../go-template/value.ts';
import { clean } from './go-path.ts';

/** How deep templates may include each other. */
const mostIncludes = 10;

export type ParsedTemplate = { readonly file: string; readonly text: Bytes; readonly templates: Templates };

/** Reads and parses a template; the main one has the base of its file's name, as in Go. Throws TemplateError. */
export function parseConfd(file: string, text: Bytes, names: ReadonlySet<string>): ParsedTemplate {
  const isFunction = (name: string) => names.has(name) || builtinNames.has(name);
  return { file, text, templates: parse(text, { file: bytesOf(basename(file)), isFunction }) };
}

export const callsOf = ({ templates }: ParsedTemplate): readonly Call[] =>
  [...templates.values()].flatMap(({ body }) => [...callsIn(body)]);

export type IncludeParts = {
  /** The folder that names are relative to; nothing outside of it is read. */
  readonly folder: string;
  readonly names: ReadonlySet<string>;
  readonly readFile: (path: string) => Bytes | undefined;
};

/** What `include` reads, each file once. */
export class Includes {
  readonly #parts: IncludeParts;
  readonly #known = new Map<string, ParsedTemplate>();
  readonly #stack: string[] = [];

  constructor(parts: IncludeParts) {
    this.#parts = parts;
  }

  /** The file of that name in the folder. Throws GoError. */
  find(name: Bytes): ParsedTemplate {
    const { folder, names, readFile } = this.#parts;
    const file = join(folder, textOf(clean(`./${name}`)));
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    const within = relative(folder, file);
    if (within === '' || within === '..' || within.startsWith('../')) {
      throw new GoError(`include path "${name}" is outside template directory`);
    }
    const text = readFile(file);
    if (text === undefined) throw new GoError(`include ${name}: open ${file}: no such file or directory`);
    try {
      const parsed = parseConfd(file, text, names);
      this.#known.set(file, parsed);
      return parsed;
    } catch (error) {
      if (error instanceof TemplateError) throw new GoError(`parse include ${name}: ${error.where}: ${error.message}`);
      throw error;
    }
  }

  /** Executes the file of that name, within those that include it. Throws GoError. */
  run(name: Bytes, data: GoValue, execute: (template: ParsedTemplate, data: GoValue) => Bytes): Bytes {
    const template = this.find(name);
    const { file } = template;
    if (this.#stack.includes(file)) {
      throw new GoError(`include cycle detected: ${file} is already being processed`);
    }
    if (this.#stack.length >= mostIncludes) throw new GoError(`maximum include depth (${mostIncludes}) exceeded`);
    this.#stack.push(file);
    try {
      return execute(template, data);
    } catch (error) {
      if (error instanceof TemplateError) throw new GoError(`execute include ${name}: ${error.message}`);
      throw error;
    } finally {
      this.#stack.pop();
    }
  }

  /** The files that a template includes by a constant name, and those that these include. One that is not there is left out. */
  of(template: ParsedTemplate): readonly ParsedTemplate[] {
    const found = [template];
    for (const from of found) {
      for (const { name, literal } of callsOf(from)) {
        if (name !== 'include' || literal === undefined) continue;
        try {
          const included = this.find(literal);
          if (!found.includes(included)) found.push(included);
        } catch (error) {
          // It is an error when it is executed.
          if (!(error instanceof GoError)) throw error;
        }
      }
    }
    return found.slice(1);
  }
}
