/** The names that a template may use at one place, and those below each. */
export type TemplateNames = {
  /** The names below a name; undefined: there is no such name. */
  readonly find: (name: string) => TemplateNames | undefined;
  /** For messages. */
  readonly known: readonly string[];
  /** The names that a section of it sees first; undefined: it sees only those around it. */
  readonly inside?: TemplateNames;
  /** The meaning of `{{.}}` in the innermost section; undefined: a template cannot use it there. */
  readonly itself?: TemplateNames;
  /** A value that is not there is a mistake, not an empty text. */
  readonly required?: true;
  /** Set for what has no text of its own: `a list`. */
  readonly notText?: string;
};

/** A value in the text. */
export const text: TemplateNames = { find: () => undefined, known: [] };

/** A value whose fields are not known before it is there. */
export function open({ required = false } = {}): TemplateNames {
  const names: TemplateNames = {
    find: () => names,
    known: [],
    ...(required ? { required } : {}),
    get inside() {
      return names;
    },
    get itself() {
      return names;
    },
  };
  return names;
}

/** A value with fields. */
export function record(fields: Readonly<Record<string, TemplateNames>>): TemplateNames {
  const byName = new Map(Object.entries(fields));
  const names: TemplateNames = {
    find: (name) => byName.get(name),
    known: [...byName.keys()],
    notText: 'no text but has fields',
    get inside() {
      return names;
    },
  };
  return names;
}

/** Any number of values, one after another in a section. */
export function listOf(of: TemplateNames): TemplateNames {
  const inside: TemplateNames = of === text ? { ...text, itself: text } : of;
  return { find: () => undefined, known: [], inside, notText: 'a list' };
}

/** Names that are known everywhere, with any names below them. */
export function flat(names: readonly string[]): TemplateNames {
  const known = new Set(names);
  const below: TemplateNames = { find: () => below, known: [], itself: text };
  return { find: (name) => (known.has(name) ? below : undefined), known: names, itself: text };
}
