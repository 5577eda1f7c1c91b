import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, errorCode, Fault } from '../model/fault.ts';
import type { EscapeName } from '../settings/file-declaration.ts';
import { compileMustache, includedPartials, type Source, type Tag } from '../template/mustache.ts';
import { escapes, type TagValue } from './escape.ts';
import { isKeyNode, valueOfNode } from './key-tree.ts';
import { type FileView, fileNames } from './view.ts';

/** A template that parsed, with all that it includes. */
export type FileTemplate = {
  /** The files it was made of, for those who watch them. */
  readonly sources: readonly Source[];
  /** The parts of the view that it uses. A change of other parts cannot change the file. */
  readonly uses: ReadonlySet<string>;
  /** It is made of more than the registry, such as a lookup, so it is made again from time to time. */
  readonly changing?: boolean;
  /** It writes text of the registry as it is. */
  readonly raw?: boolean;
  /** Throws, or rejects with, Fault `template` naming `file:line:column`. */
  readonly render: (view: FileView) => FileText | Promise<FileText>;
};

/** The text of a file, or its bytes. */
export type FileText = string | Buffer;

type MustacheTemplate = Omit<FileTemplate, 'render'> & { readonly render: (view: FileView) => string };

const partialName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/**
 * Reads a template and the partials that it includes, which are `<name>.mustache` in its folder. Rejects with Fault
 * `template` naming `file:line:column`.
 */
export async function loadFileTemplate(file: string, how: EscapeName): Promise<MustacheTemplate> {
  const source = { file, text: await read(file) };
  const partials = new Map<string, Source>();
  const pathOf = (name: string) => join(dirname(file), `${name}.mustache`);
  const including = [source];
  for (const from of including) {
    for (const name of includedPartials(from)) {
      if (partials.has(name) || !partialName.test(name)) continue;
      const partial = await readIfThere(pathOf(name));
      if (partial === undefined) continue;
      partials.set(name, partial);
      including.push(partial);
    }
  }
  const compiled = compile(source, how, (name) => partials.get(name), pathOf);
  return { ...compiled, sources: [source, ...partials.values()] };
}

function compile(
  source: Source,
  how: EscapeName,
  find: (name: string) => Source | undefined,
  pathOf: (name: string) => string,
): Pick<MustacheTemplate, 'uses' | 'render'> {
  const { write, absent, trail } = escapes[how];
  const { tags, roots, render } = compileMustache(source, {
    names: fileNames,
    partial: (name) => {
      if (!partialName.test(name)) return { reason: 'it is not a name: A-Z a-z 0-9 . _ -' };
      return find(name) ?? { reason: `there is no ${pathOf(name)}` };
    },
    escape: (found, tag) => {
      const value = valueFound(found, tag);
      return value === undefined ? absent(tag.form) : write(value, tag.form);
    },
    ...(trail === undefined ? {} : { trail }),
  });
  const bare = tags.find((tag) => tag.bare);
  if (bare !== undefined && how !== 'none') {
    throw new Fault('template', `{{{${bare.name}}}} would insert an unchecked value`, {
      where: bare.where,
      hint: `write {{${bare.name}}}; or escape: none, if nobody who writes to the registry can do harm`,
    });
  }
  return { uses: roots, render };
}

/** The value of a tag, as it can be written; undefined: it may be left out. Throws Fault `template`. */
function valueFound(found: unknown, { name, required }: Tag): TagValue | undefined {
  if (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean') return found;
  if (isKeyNode(found)) {
    const value = valueOfNode(found);
    if (value !== undefined) return value;
    throw new Fault('template', `{{${name}}} has no value: it is a folder of keys`);
  }
  if (found !== undefined && found !== null) throw new Fault('template', `{{${name}}} is not a text but has parts`);
  if (!required) return undefined;
  throw new Fault('template', `{{${name}}} is not there`, {
    hint: `if it may be left out: {{#${name}}}…{{/${name}}}`,
  });
}

async function read(path: string): Promise<string> {
  const source = await readIfThere(path);
  if (source === undefined) throw new Fault('template', 'there is no such file', { where: path });
  return source.text;
}

async function readIfThere(path: string): Promise<Source | undefined> {
  try {
    return { file: path, text: await readFile(path, 'utf8') };
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Fault('template', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}
