import { Fault } from '../model/fault.ts';
import { compileMustache } from '../template/mustache.ts';
import { flat } from '../template/names.ts';
import { safeText } from '../template/safe-text.ts';
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

/** Parses a template. Throws Fault `template` naming `file:line:column`. */
export function parseTemplate(role: TemplateRole, file: string, text: string): Template {
  const wanted = slot[role];
  const compiled = compileMustache(
    { file, text },
    { names: flat(knownNames[role]), escape: (value, { bare }) => (bare ? String(value) : optionalText(value)) },
  );
  let slots = 0;
  for (const { name, where, bare } of compiled.tags) {
    if (bare) {
      if (name !== wanted) {
        throw new Fault('template', `{{{${name}}}} would insert an unchecked value`, {
          where,
          hint: `write {{${name}}}`,
        });
      }
      slots += 1;
    } else if (name === wanted) {
      throw new Fault('template', `{{${name}}} needs three braces`, { where, hint: `write {{{${name}}}}` });
    }
  }
  if (wanted !== undefined && slots !== 1) {
    throw new Fault('template', `{{{${wanted}}}} occurs ${slots} times instead of once`, {
      where: `${file}:1:1`,
    });
  }
  const fill = wanted === undefined ? {} : { [wanted]: slotMark };
  const most = longest[role];
  const render = (view: object): string => {
    const made = compiled.render({ ...view, ...fill });
    if (made.length <= most) return made;
    throw new Fault('template', `it rendered ${made.length} characters, more than ${most}`, { where: file });
  };
  return { file, text, render };
}

// The longest text of one rendering, in characters. A server line is a command, too, and HAProxy drops a line of commands that is
// longer than its buffer, 16 KiB by default. The base configuration has a section for each tcp service.
const longest: Readonly<Record<TemplateRole, number>> = {
  frame: 4 * 1024 * 1024,
  policy: 65_536,
  backend: 65_536,
  server: 4096,
};

const optionalText = (value: unknown): string => (value === undefined || value === null ? '' : safeText(value));

/** A rendered text around its slot: the lines before and after the slot's own, and how far that one is indented. */
export type Section = { readonly before: string; readonly indent: string; readonly after: string };

/** Whether both have the same text around their slot. The place of the slot does not matter while the slot is empty. */
export function sameSection(a: Section, b: Section): boolean {
  return (
    a === b ||
    (a.before.length + a.after.length === b.before.length + b.after.length && a.before + a.after === b.before + b.after)
  );
}

export function splitAtSlot(rendered: string): Section {
  const at = rendered.indexOf(slotMark);
  const lineStart = rendered.lastIndexOf('\n', at) + 1;
  const lineEnd = rendered.indexOf('\n', at);
  return {
    before: rendered.slice(0, lineStart),
    indent: rendered.slice(lineStart, at),
    after: lineEnd === -1 ? '' : rendered.slice(lineEnd + 1),
  };
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
