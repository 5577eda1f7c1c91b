import type { FieldText } from './json-schema.ts';

/** What a page of the documentation says about fields, by the heading of its sections. */
type Section = { readonly names: readonly string[]; readonly text: string };

/** Reads the texts for fields from a page: from the rows of its tables, and from the first paragraph below a heading. */
export class FieldTexts {
  readonly #sections: readonly Section[];

  constructor(page: string) {
    const parts = page.split(/^(?=#{2,4} )/m);
    this.#sections = parts.map((own, at) => {
      const [heading = ''] = own.split('\n');
      const level = levelOf(own);
      const end = parts.findIndex((other, next) => next > at && levelOf(other) <= level);
      const text = parts.slice(at, end === -1 ? undefined : end).join('');
      const title = heading.replace(/^#+ /, '').replaceAll('`', '');
      return { names: title.split(', '), text: text.slice(heading.length) };
    });
  }

  /**
   * The text for a field in the sections of a name: the row of a table with the header `field`, a table of its values, or, for the field
   * that the section is about, its first paragraph.
   */
  find(section: string, field: string): FieldText | undefined {
    const found = this.#sections.filter(({ names }) => names.includes(section));
    for (const { text, names } of found) {
      const row = rowOf(text, field) ?? valuesOf(text, field);
      const paragraph = section === field && row === undefined ? firstParagraph(text) : undefined;
      const description = row ?? paragraph;
      if (description === undefined) continue;
      const examples = names.includes(field) ? examplesIn(text, field) : [];
      return examples.length === 0 ? { description } : { description, examples };
    }
    return undefined;
  }
}

/** A section of a page ends at the next heading of its level; the part before the first heading has none. */
const levelOf = (part: string): number => /^#+/.exec(part)?.[0].length ?? 0;

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
