/** What may be named at one place of a template, and what is below it. */
export type TemplateNames = {
  /** What a name is; undefined when there is none. */
  readonly find: (name: string) => TemplateNames | undefined;
  /** For messages. */
  readonly known: readonly string[];
  /** What a section of it sees first; undefined when it sees no more than what is around it. */
  readonly inside?: TemplateNames;
  /** What `{{.}}` is when this is the innermost section; undefined where it cannot be written. */
  readonly itself?: TemplateNames;
  /** A value that is not there is a mistake, not an empty text. */
  readonly required?: true;
  /** Set for what has no text of its own: `a list`. */
  readonly notText?: string;
};

/** A value that stands in the text. */
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

/** Names that may stand anywhere, with anything below them. */
export function flat(names: readonly string[]): TemplateNames {
  const known = new Set(names);
  const below: TemplateNames = { find: () => below, known: [], itself: text };
  return { find: (name) => (known.has(name) ? below : undefined), known: names, itself: text };
}
