import Mustache from 'mustache';
import { Fault } from '../model/fault.ts';
import { safeText } from './safe-text.ts';
import { knownNames } from './view.ts';

export type TemplateRole = keyof typeof knownNames;

/** The files that make a configuration, in the folder given by `--haproxy-templates` or in the shipped one. */
export const templateFiles = {
  frame: 'haproxy.cfg.mustache',
  policy: 'policy.mustache',
  backend: 'backend.mustache',
  server: 'server.mustache',
} as const satisfies Record<TemplateRole, string>;

/** A template that parsed and uses known names only. */
export type Template = {
  readonly file: string;
  readonly text: string;
  /** Throws Fault `template` for a value that is not safe in a configuration. */
  readonly render: (view: object) => string;
};

/** Where the text that is not Mustache's to make goes in: all backends, or all servers of one. */
const slot = { frame: 'backends', policy: undefined, backend: 'servers', server: undefined } as const;
const slotMark = '\u0001';

// Of a token: type, name, start, end, and the tokens inside a section.
type Token = readonly [type: string, name: string, start: number, end: number, inside?: unknown, ...rest: unknown[]];

/** Parses a template. Throws Fault `template` naming `file:line:column`. */
export function parseTemplate(role: TemplateRole, file: string, text: string): Template {
  const writer = new Mustache.Writer();
  const tokens = parseTokens(writer, file, text);
  const names = new Set<string>(knownNames[role]);
  let slots = 0;
  for (const [type, name, start] of walk(tokens)) {
    if (type === 'text' || type === '!') continue;
    const where = `${file}:${position(text, start)}`;
    if (type === '>' || type === '=') {
      throw new Fault('template', `{{${type}…}} is not available here`, { where });
    }
    const parts = name === '.' ? [] : name.split('.');
    if (parts[0] !== undefined && !names.has(parts[0])) {
      throw new Fault('template', `{{${name}}} is not known to this template`, {
        where,
        hint: `known are ${[...names].join(', ')}`,
      });
    }
    if (type === '&') {
      if (name !== slot[role]) {
        throw new Fault('template', `{{{${name}}}} would go in unchecked`, { where, hint: `write {{${name}}}` });
      }
      slots += 1;
    } else if (name === slot[role]) {
      throw new Fault('template', `{{${name}}} needs three braces`, { where, hint: `write {{{${name}}}}` });
    }
  }
  const wanted = slot[role];
  if (wanted !== undefined && slots !== 1) {
    throw new Fault('template', `{{{${wanted}}}} stands in it ${slots} times instead of once`, {
      where: `${file}:1:1`,
    });
  }
  const fill = wanted === undefined ? {} : { [wanted]: slotMark };
  const render = (view: object): string => {
    try {
      return writer.render(text, { ...view, ...fill }, undefined, { escape: safeText });
    } catch (error) {
      if (error instanceof Fault)
        throw new Fault('template', error.message, { hint: error.hint, where: file, cause: error });
      throw error;
    }
  };
  return { file, text, render };
}

/** A rendered text around its slot: the lines before and after the slot's own, and how far that one is indented. */
export type Around = { readonly before: string; readonly indent: string; readonly after: string };

export function splitAtSlot(rendered: string): Around {
  const at = rendered.indexOf(slotMark);
  const lineStart = rendered.lastIndexOf('\n', at) + 1;
  const lineEnd = rendered.indexOf('\n', at);
  return {
    before: rendered.slice(0, lineStart),
    indent: rendered.slice(lineStart, at),
    after: lineEnd === -1 ? '' : rendered.slice(lineEnd + 1),
  };
}

function parseTokens(writer: InstanceType<typeof Mustache.Writer>, file: string, text: string): readonly Token[] {
  try {
    return writer.parse(text) as unknown as readonly Token[];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Mustache ends its messages with the character's index: "Unclosed section \"a\" at 17".
    const at = / at (\d+)$/.exec(message);
    throw new Fault('template', message.replace(/ at \d+$/, ''), {
      where: `${file}:${position(text, Number(at?.[1] ?? 0))}`,
      cause: error,
    });
  }
}

function* walk(tokens: readonly Token[]): Generator<Token> {
  for (const token of tokens) {
    yield token;
    if (Array.isArray(token[4])) yield* walk(token[4] as readonly Token[]);
  }
}

function position(text: string, index: number): string {
  const before = text.slice(0, index);
  return `${before.split('\n').length}:${index - before.lastIndexOf('\n')}`;
}

/**
 * Which line of which template made this line of a configuration: the one whose fixed text it repeats, if there is just
 * one. HAProxy names lines of the rendered file; people edit templates.
 */
export function originOf(line: string, templates: Iterable<Template>): string | undefined {
  const found = [];
  for (const { file, text } of templates) {
    for (const [index, source] of text.split('\n').entries()) {
      const fixed = source.split(/\{\{.*?\}\}+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      if (fixed.join('').trim() === '') continue;
      if (new RegExp(`^${fixed.join('.*')}$`).test(line)) found.push(`${file}:${index + 1}`);
    }
  }
  return found.length === 1 ? found[0] : undefined;
}
