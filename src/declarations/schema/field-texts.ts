import type { FieldText } from './json-schema.ts';

/** A section of a page, with all sections below it. */
type Section = { readonly heading: string; readonly text: string };

/** Reads the texts for fields from a page: from the rows of its tables, and from the first paragraph below a heading. */
export class FieldTexts {
  readonly #sections: readonly Section[];

  constructor(page: string) {
    const parts = page.split(/^(?=#{2,4} )/m).map((text) => {
      const [, marks = '', heading = ''] = /^(#*) ?(.*)/.exec(text) ?? [];
      return { level: marks.length, heading: heading.replaceAll('`', ''), text: text.slice(text.indexOf('\n')) };
    });
    this.#sections = parts.map(({ level, heading, text }, index) => {
      const after = parts.slice(index + 1);
      const end = after.findIndex((part) => part.level <= level);
      const below = after.slice(0, end === -1 ? undefined : end);
      return { heading, text: [text, ...below.map((part) => part.text)].join('\n') };
    });
  }

  /**
   * The text for a field by its path, from the section of the nearest field that has one: the row of a table with the header `field`, a
   * table of its values, or, for the field that a section is about, the first paragraph.
   */
  find(path: readonly string[]): FieldText | undefined {
    const field = path.at(-1) ?? '';
    for (const name of [...path.slice(0, -1).reverse(), field]) {
      for (const { text } of this.#about(name)) {
        const description =
          rowOf(text, field) ?? valuesOf(text, field) ?? (name === field ? firstParagraph(text) : undefined);
        if (description === undefined) continue;
        const examples = name === field ? examplesIn(text, field) : [];
        return examples.length === 0 ? { description } : { description, examples };
      }
    }
    return undefined;
  }

  /** The sections whose heading lists the name, then those that have it as a word. */
  #about(name: string): readonly Section[] {
    const lists = this.#sections.filter(({ heading }) => heading.split(', ').includes(name));
    const has = this.#sections.filter(({ heading }) =>
      heading
        .toLowerCase()
        .split(/[^a-z0-9]+/)
        .includes(name.toLowerCase()),
    );
    return [...lists, ...has];
  }
}

/** The cells of the tables of a text, each with its header. */
function tablesIn(text: string): readonly { readonly header: readonly string[]; readonly rows: readonly string[][] }[] {
  return [...text.matchAll(/(?:^\|.*\|\n)+/gm)].map(([table]) => {
    const [header = [], , ...rows] = table.trim().split('\n').map(cellsOf);
    return { header, rows };
  });
}

const cellsOf = (line: string): string[] =>
  line
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));

function rowOf(text: string, field: string): string | undefined {
  for (const { header, rows } of tablesIn(text)) {
    if (!/^field\b/.test(header[0] ?? '')) continue;
    const row = rows.find(([names = '']) => names.split(', ').includes(`\`${field}\``));
    if (row === undefined) continue;
    const [, meaning = '', fallback = ''] = row;
    const isDefault = /^(default|if neither)/.test(header[2] ?? '') && fallback !== '';
    const end = fallback === 'required' ? 'Required.' : `Default: ${fallback}.`;
    return plain(isDefault ? `${sentence(meaning)} ${end}` : sentence(meaning));
  }
  return undefined;
}

/** A table whose header is the field lists its values. */
function valuesOf(text: string, field: string): string | undefined {
  const table = tablesIn(text).find(({ header }) => header[0] === `\`${field}\``);
  if (table === undefined) return undefined;
  return plain(`One of: ${table.rows.map(([value, meaning]) => `${value}: ${meaning}`).join('; ')}.`);
}

function firstParagraph(text: string): string | undefined {
  const prose = text.replace(/^```.*?^```$/gms, '').split(/\n\s*\n/);
  const [found] = prose.map((one) => one.trim()).filter((one) => /^[`A-Za-z]/.test(one));
  return found === undefined ? undefined : plain(found);
}

/** The values that the examples of a section give the field. */
function examplesIn(text: string, field: string): readonly unknown[] {
  const found = [...text.matchAll(/^```json\n(.*?)^```$/gms)].map(([, json = '']): unknown => JSON.parse(json));
  return found.flatMap((one) =>
    typeof one === 'object' && one !== null && Object.hasOwn(one, field) ? [Reflect.get(one, field)] : [],
  );
}

const sentence = (text: string): string =>
  `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/** The text without links and line ends. */
const plain = (text: string): string =>
  text
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replaceAll('**', '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/:$/, '.');
